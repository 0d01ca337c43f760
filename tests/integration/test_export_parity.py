"""The exported model and Spark give the same probabilities, for every family."""

from __future__ import annotations

import gc
import itertools
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from pyspark.ml import PipelineModel, Transformer
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.functions import lit

from core.data.ingest import reduce_texts
from core.errors import InvalidInputError, NotFoundError, RowCountError, TrainingError
from core.problems.contract import Columns, Problem
from core.problems.titanic import PROBLEM as TITANIC
from core.scoring.export import export_onnx
from core.scoring.export_saved import read_saved
from core.scoring.export_trees import float32_not_above
from core.scoring.generate import generate_records
from core.scoring.parity import compare, spark_probabilities
from core.scoring.saved_model import SavedTrees
from core.scoring.scorer import Scorer
from core.training.estimators import build_estimator
from core.training.preprocessing import (
    LABEL,
    add_derived,
    column_summaries,
    fit_features,
    join_stages,
)
from core.training.weights import feature_weights, weight_kind
from tests.problems import orchard

TOLERANCE = 1e-6
GENERATED = 20_000
SEED = 7
INFINITY = np.float32(np.inf)

CANDIDATES = {
    "lr": {"regParam": 0.0, "elasticNetParam": 0.0},
    "rf": {"numTrees": 20, "maxDepth": 8},
    "gbt": {"maxIter": 10, "maxDepth": 4, "stepSize": 0.1},
    "xgb": {"n_estimators": 20, "max_depth": 4, "learning_rate": 0.1},
}

pytestmark = [
    # NannyML reads its bundled data through a deprecated function of the standard library.
    pytest.mark.filterwarnings("ignore:path is deprecated:DeprecationWarning:nannyml"),
    # PySpark leaves the socket of a collect to the garbage collector.
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
]


@dataclass(frozen=True)
class Data:
    """A problem with its rows (a training frame, a holdout as columns) and its features."""

    problem: Problem
    train: DataFrame
    holdout: Columns
    features: PipelineModel


@pytest.fixture(scope="module")
def spark() -> Iterator[SparkSession]:
    with pytest.MonkeyPatch.context() as patch:
        packages = ("java.lang", "java.lang.invoke", "java.nio", "java.util", "sun.nio.ch")
        opens = " ".join(f"--add-opens=java.base/{name}=ALL-UNNAMED" for name in packages)
        patch.setenv("JDK_JAVA_OPTIONS", opens)
        patch.setenv("PYSPARK_PYTHON", sys.executable)
        session = (
            SparkSession.builder.master("local[2]")
            .config("spark.driver.host", "127.0.0.1")
            .config("spark.driver.bindAddress", "127.0.0.1")
            .config("spark.ui.enabled", "false")
            .config("spark.sql.shuffle.partitions", "2")
            .getOrCreate()
        )
        session.sparkContext.setLogLevel("ERROR")
        yield session
        session.stop()
        # Here, under this module's filters, and not in somebody else's test.
        gc.collect()


def split(spark: SparkSession, problem: Problem, table: pa.Table, folder: Path) -> Data:
    """Every fifth row is the holdout; the rest goes to Spark with a label of 0 and 1."""
    contract = problem.contract
    table = reduce_texts(table, contract)
    positive = np.array(
        [v == contract.label.positive for v in table[contract.label.name].to_pylist()]
    )
    inputs = {
        f.name: table[f.name].cast(pa.float64() if f.type.is_numeric else pa.string())
        for f in contract.fields
    }
    held = np.arange(table.num_rows) % 5 == 0
    rows = pa.table({**inputs, LABEL: positive.astype(np.float64)})
    path = folder / f"{problem.name}.parquet"
    pq.write_table(rows.filter(pa.array(~held)), path)
    train = add_derived(spark.read.parquet(str(path)).coalesce(1), problem).cache()
    holdout = rows.filter(pa.array(held)).select(list(contract.names))
    columns = {name: holdout[name].to_numpy(zero_copy_only=False) for name in contract.names}
    return Data(problem, train, columns, fit_features(train, problem))


def fit(data: Data, features: PipelineModel, family: str) -> Transformer:
    vectors = features.transform(data.train)
    return build_estimator(family, CANDIDATES[family], SEED, features).fit(vectors)


def generated(problem: Problem) -> Columns:
    """Generated records, some of which spell a missing category as the empty string."""
    columns = dict(generate_records(problem, GENERATED, SEED))
    for i, field in enumerate(problem.contract.fields):
        if not field.type.is_numeric:
            columns[field.name][i::50] = ""
    return columns


@pytest.fixture(scope="module")
def titanic(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Data:
    os.environ.setdefault("NML_DISABLE_USAGE_LOGGING", "1")
    import nannyml

    reference, _, _ = nannyml.load_titanic_dataset()
    table = pa.Table.from_pandas(reference, preserve_index=False)
    return split(spark, TITANIC, table, tmp_path_factory.mktemp("titanic"))


@pytest.fixture(scope="module")
def apples(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Data:
    folder = tmp_path_factory.mktemp("orchard")
    path = orchard.write_orchard(folder / "orchard.csv")
    options = pyarrow.csv.ConvertOptions(strings_can_be_null=True)
    table = pyarrow.csv.read_csv(path, convert_options=options)
    return split(spark, orchard.PROBLEM, table, folder)


@pytest.fixture(params=["titanic", "apples"])
def data(request: pytest.FixtureRequest) -> Data:
    return request.getfixturevalue(request.param)


def titles_and_decks(titanic: Data) -> Columns:
    """Holdout rows with every title and deck, known, unseen and missing, beside each sex."""
    fields = {field.name: field for field in TITANIC.contract.fields}
    options = [[*fields[name].categories, "zz?", "", None] for name in ("Title", "Deck", "Sex")]
    combined = list(itertools.product(*options))
    rows = np.arange(len(combined)) % len(titanic.holdout["Sex"])
    columns = {name: values[rows] for name, values in titanic.holdout.items()}
    for name, values in zip(("Title", "Deck", "Sex"), zip(*combined, strict=True), strict=True):
        columns[name] = np.array(values, dtype=object)
    return columns


def on_thresholds(data: Data, saved: Path) -> Columns:
    """Holdout rows with one number each put on a split of the model or 1 ulp beside it."""
    _, classifier = read_saved(saved)
    assert isinstance(classifier, SavedTrees)
    names = data.problem.categorical_features + data.problem.numeric_features
    rows: dict[str, list[object]] = {name: [] for name in data.holdout}
    thresholds = {
        (names[node.feature], float32_not_above(node.threshold))
        for tree in classifier.trees
        for node in tree
        if not node.is_leaf and not node.left_categories
    }
    for i, (name, threshold) in enumerate(sorted(thresholds)):
        if name not in data.holdout:
            continue
        at = np.float32(threshold)
        for value in (np.nextafter(at, -INFINITY), at, np.nextafter(at, INFINITY)):
            for other, values in data.holdout.items():
                rows[other].append(values[i % len(values)])
            rows[name][-1] = float(value)
    assert len(rows[data.problem.contract.names[0]]) > 10
    return {name: np.array(rows[name], dtype=data.holdout[name].dtype) for name in rows}


@pytest.mark.parametrize("family", list(CANDIDATES))
def test_export_agrees_with_spark(
    spark: SparkSession, data: Data, family: str, tmp_path: Path
) -> None:
    problem = data.problem
    classifier = fit(data, data.features, family)
    model = join_stages(data.features, classifier)
    model.write().save(str(tmp_path / "model"))
    exported = export_onnx(tmp_path / "model", problem)
    scorer = Scorer(problem, exported)

    records = {"holdout": data.holdout, "generated": generated(problem)}
    if problem is TITANIC:
        records["titles and decks"] = titles_and_decks(data)
    if family != "lr":
        records["thresholds"] = on_thresholds(data, tmp_path / "model")
    for name, columns in records.items():
        expected = spark_probabilities(spark, model, problem, columns)
        result = compare(expected, scorer.probabilities(columns), TOLERANCE)
        assert result.max_difference <= TOLERANCE, name
        assert np.ptp(expected) > 0.3, "a constant model proves nothing"

    again = fit_features(data.train, problem)
    refitted = join_stages(again, fit(data, again, family))
    refitted.write().save(str(tmp_path / "again"))
    assert exported == export_onnx(tmp_path / "model", problem)
    assert exported == export_onnx(tmp_path / "again", problem)


@pytest.mark.parametrize("numeric", [True, False])
def test_a_problem_may_have_inputs_of_one_kind(
    spark: SparkSession, titanic: Data, numeric: bool, tmp_path: Path
) -> None:
    fields = tuple(f for f in TITANIC.contract.fields if f.type.is_numeric == numeric)
    contract = replace(TITANIC.contract, fields=fields, reduced=())
    problem = replace(TITANIC, name="half", contract=contract, derived=())
    features = fit_features(titanic.train, problem)
    half = replace(titanic, problem=problem, features=features)
    for family in ("lr", "rf"):
        model = join_stages(features, fit(half, features, family))
        model.write().save(str(tmp_path / family))
        scorer = Scorer(problem, export_onnx(tmp_path / family, problem))
        expected = spark_probabilities(spark, model, problem, titanic.holdout)
        found = scorer.probabilities(titanic.holdout)
        assert compare(expected, found, TOLERANCE).max_difference <= TOLERANCE


@pytest.mark.parametrize("family", ["lr", "gbt", "xgb"])
def test_weights_name_every_feature(data: Data, family: str) -> None:
    problem = data.problem
    weights = feature_weights(data.features, fit(data, data.features, family), problem)
    sizes = [abs(w.weight) for w in weights]
    assert sizes == sorted(sizes, reverse=True)
    named = {w.feature.partition("=")[0] for w in weights}
    assert named == {*problem.categorical_features, *problem.numeric_features}
    if weight_kind(family) == "importance":
        assert len(weights) == len(named)
        assert sum(sizes) == pytest.approx(1.0)
    elif problem is TITANIC:
        signs = {w.feature: np.sign(w.weight) for w in weights}
        assert signs["Sex=female"] == -signs["Sex=male"] == 1


def test_summaries_tell_what_is_missing_and_what_fills_it(data: Data) -> None:
    found = {s.column: s for s in column_summaries(data.train, data.problem, data.features)}
    rows = data.train.select(*[f"`{name}`" for name in found]).collect()
    for name, summary in found.items():
        values = [row[name] for row in rows]
        present = [value for value in values if value is not None]
        assert summary.rows == len(values)
        assert summary.missing == len(values) - len(present)
    if data.problem is orchard.PROBLEM:
        assert found["soil type"].fill_value == "o'sand"
        assert found["sweetness"].missing > 0
        assert found["sweetness"].fill_value is None
    else:
        ages = sorted(row["Age"] for row in rows if row["Age"] is not None)
        assert found["Embarked"].fill_value == "S"
        assert found["Age"].fill_value == ages[(len(ages) - 1) // 2]
        assert found["Deck"].missing > len(rows) / 2
        assert found["Deck"].fill_value is None
        assert found["CabinDeck"].missing == 0
        assert found["Sex"].fill_value is None


def test_derived_columns_are_added_and_the_rest_is_untouched(
    spark: SparkSession, apples: Data
) -> None:
    contract = apples.problem.contract
    record = {f.name: f.example for f in contract.fields} | {"sugar.brix": None, "tree no.": 17}
    types = {f.name: "double" if f.type.is_numeric else "string" for f in contract.fields}
    types |= {"days": "int", "tree no.": "int"}
    schema = ", ".join(f"`{name}` {types[name]}" for name in record)
    frame = spark.createDataFrame([tuple(record.values())], schema)
    derived = add_derived(frame, apples.problem)
    (row,) = derived.collect()
    assert derived.schema.fields[: len(record)] == frame.schema.fields
    assert tuple(row)[: len(record)] == tuple(record.values())
    assert row["sweetness"] is None
    assert row["density"] == pytest.approx(150.0 / (np.pi / 6.0 * 343.0))


def test_an_input_without_any_value_is_named(titanic: Data) -> None:
    for name, type_ in (("Age", "double"), ("Embarked", "string")):
        empty = titanic.train.withColumn(name, lit(None).cast(type_))
        with pytest.raises(TrainingError, match=f"one value of {name} in"):
            fit_features(empty, TITANIC)


def test_estimators_refuse_unknown_parameters_and_have_bins_enough(apples: Data) -> None:
    with pytest.raises(InvalidInputError, match="numTrees"):
        build_estimator("lr", {"numTrees": 3}, SEED, apples.features)
    forest = build_estimator("rf", {"maxBins": 8}, SEED, apples.features)
    assert forest.getMaxBins() == len(orchard.CULTIVARS) + 1


def test_a_damaged_or_foreign_model_is_refused(titanic: Data, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        export_onnx(tmp_path / "nothing", TITANIC)
    features = titanic.features
    estimator = build_estimator("rf", {"numTrees": 3, "maxDepth": 0}, SEED, features)
    model = join_stages(features, estimator.fit(features.transform(titanic.train)))
    model.write().save(str(tmp_path / "model"))
    stump = Scorer(TITANIC, export_onnx(tmp_path / "model", TITANIC))
    assert np.ptp(stump.probabilities(titanic.holdout)) == 0
    with pytest.raises(TrainingError, match="other features than problem orchard"):
        export_onnx(tmp_path / "model", orchard.PROBLEM)
    (trees,) = (tmp_path / "model" / "stages").glob("*RandomForest*")
    for part in (trees / "data").glob("part-*.parquet"):
        part.unlink()
    with pytest.raises(RowCountError):
        export_onnx(tmp_path / "model", TITANIC)
