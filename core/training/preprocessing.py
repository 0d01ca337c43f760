"""From a frame of contract columns to feature vectors.

Features are fitted on a training part alone and come out as one ``PipelineModel``
that holds every step, so that a saved model needs nothing but the derived columns
of ``add_derived``:

1. SQL: numbers cast to float32 (what the server sees), the empty string made
   missing, a missing value of a nullable category made the mode;
2. ``StringIndexer`` with an extra index for what it has not seen; ``Imputer``;
3. ``tree_features``: indexed categories, then numbers. Trees need no scaling, and
   the indexes carry nominal metadata so that trees split on sets of categories;
4. ``linear_features``: one-hot categories (an unseen one is all zeros), then
   numbers, everything standardised.

Columns inside the pipeline are numbered, because Spark reads a dot in a column's
name as a path into a struct.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
from py4j.protocol import Py4JJavaError  # type: ignore[import-untyped]
from pyspark.ml import Pipeline, PipelineModel, Transformer
from pyspark.ml.feature import (
    Imputer,
    ImputerModel,
    OneHotEncoder,
    SQLTransformer,
    StandardScaler,
    StringIndexer,
    StringIndexerModel,
    VectorAssembler,
)
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import DoubleType, StringType, StructField, StructType

from core.adapters.spark_shipping import ship_by_value
from core.errors import TrainingError
from core.problems.contract import Columns, Problem
from core.training.report import ColumnSummary

#: Double column of 0 and 1 that every estimator learns.
LABEL = "label"
TREE_FEATURES = "tree_features"
LINEAR_FEATURES = "linear_features"

#: Rank error of the median; exact up to 10,000 rows.
MEDIAN_ERROR = 1e-4


def add_derived(frame: DataFrame, problem: Problem) -> DataFrame:
    """Appends the problem's derived columns; every column of ``frame`` stays as it is.

    ``frame`` holds the contract's columns unrounded (numbers as double or integer,
    categories as string) and any others. Derived numbers are double, derived
    categories string, null where missing. Rows are mapped batch by batch, so a
    derived feature must be a function of its own row.
    """
    if not problem.derived:
        return frame
    # Numbered while in flight: mapInArrow cannot address a name with a dot.
    names = frame.columns
    passing = [
        StructField(f"c{i}", f.dataType, f.nullable) for i, f in enumerate(frame.schema.fields)
    ]
    adding = [
        StructField(f"d{i}", DoubleType() if d.type.is_numeric else StringType())
        for i, d in enumerate(problem.derived)
    ]

    def extend(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            yield _extend_batch(batch, names, problem)

    ship_by_value(problem.modules)
    numbered = frame.toDF(*[field.name for field in passing])
    mapped = numbered.mapInArrow(extend, StructType(passing + adding))
    return mapped.toDF(*names, *[d.name for d in problem.derived])


def _extend_batch(batch: pa.RecordBatch, names: Sequence[str], problem: Problem) -> pa.RecordBatch:
    given: Columns = {
        f.name: batch.column(names.index(f.name))
        .cast(pa.float64() if f.type.is_numeric else pa.string())
        .to_numpy(zero_copy_only=False)
        for f in problem.contract.fields
    }
    features = problem.with_derived(given)
    added = [
        # from_pandas reads NaN as missing.
        pa.array(features[d.name].astype(np.float64), from_pandas=True)
        if d.type.is_numeric
        else pa.array(features[d.name], pa.string())
        for d in problem.derived
    ]
    labels = [*batch.schema.names, *[f"d{i}" for i in range(len(added))]]
    return pa.RecordBatch.from_arrays([*batch.columns, *added], names=labels)


def fit_features(train: DataFrame, problem: Problem) -> PipelineModel:
    """Fits the feature steps on a training part that went through ``add_derived``.

    The result adds ``tree_features`` and ``linear_features`` (vectors of doubles).
    Cache ``train``: three passes are made over it.

    Raises:
        TrainingError: an input that has to be filled has no value at all.
    """
    categories = _numbered("category", problem.categorical_features)
    numbers = _numbered("number", problem.numeric_features)
    indexes = _numbered("index", categories)
    filled = _numbered("filled", numbers)
    one_hot = _numbered("one_hot", categories)

    stages: list[object] = []
    modes: dict[str, str] = {}
    if categories:
        indexer = StringIndexer(
            inputCols=categories,
            outputCols=indexes,
            handleInvalid="keep",
            stringOrderType="frequencyDesc",
        ).fit(_prepare(problem, modes).transform(train))
        modes = _modes(problem, indexer)
        stages += [_prepare(problem, modes), indexer]
        stages += [OneHotEncoder(inputCols=indexes, outputCols=one_hot, dropLast=True)]
    else:
        stages += [_prepare(problem, modes)]
    if numbers:
        stages += [
            Imputer(
                inputCols=numbers, outputCols=filled, strategy="median", relativeError=MEDIAN_ERROR
            )
        ]
    stages += [
        VectorAssembler(inputCols=indexes + filled, outputCol=TREE_FEATURES),
        VectorAssembler(inputCols=one_hot + filled, outputCol="_unscaled"),
        StandardScaler(
            inputCol="_unscaled", outputCol=LINEAR_FEATURES, withMean=True, withStd=True
        ),
    ]
    try:
        return Pipeline(stages=stages).fit(train)
    except Py4JJavaError as exc:
        # Asked only now: counting on every fit would cost a pass over the rows.
        counted = _count_missing(train, _model_inputs(problem))
        empty = [name for name, missing, rows in counted if missing == rows]
        if not empty:
            raise
        raise _no_value(empty) from exc


def join_stages(features: PipelineModel, classifier: Transformer) -> PipelineModel:
    """Returns one model of the feature steps and a classifier: what is saved and exported."""
    return PipelineModel([*features.stages, classifier])


def column_summaries(
    train: DataFrame, problem: Problem, features: PipelineModel
) -> tuple[ColumnSummary, ...]:
    """Missing values of every input in ``train``, and what ``features`` fills in.

    Model inputs come first, in feature order; then the fields that no model reads itself.
    """
    fills: dict[str, float | str] = {}
    for stage in features.stages:
        if isinstance(stage, StringIndexerModel):
            fills |= _modes(problem, stage)
        if isinstance(stage, ImputerModel):
            medians = [float(np.float32(value)) for value in stage.surrogateDF.first()]
            fills |= dict(zip(problem.numeric_features, medians, strict=True))
    never = {f.name for f in problem.contract.fields if not f.nullable}
    unread = [f.name for f in problem.contract.fields if not f.feature]
    return tuple(
        ColumnSummary(
            column=name,
            rows=rows,
            missing=missing,
            fill_value=None if name in never else fills.get(name),
        )
        for name, missing, rows in _count_missing(train, [*_model_inputs(problem), *unread])
    )


def category_labels(features: PipelineModel) -> tuple[tuple[str, ...], ...]:
    """Known values of every categorical feature, most frequent first, in feature order."""
    for stage in features.stages:
        if isinstance(stage, StringIndexerModel):
            return tuple(tuple(labels) for labels in stage.labelsArray)
    return ()


def _numbered(prefix: str, names: Sequence[str]) -> list[str]:
    return [f"_{prefix}_{i}" for i in range(len(names))]


def _prepare(problem: Problem, modes: Mapping[str, str]) -> SQLTransformer:
    columns = ["*"]
    for i, name in enumerate(problem.numeric_features):
        columns.append(f"CAST({_quote(name)} AS FLOAT) AS `_number_{i}`")
    for i, name in enumerate(problem.categorical_features):
        value = f"NULLIF(CAST({_quote(name)} AS STRING), '')"
        if name in modes:
            # In hexadecimal no value can end the literal or be taken for a placeholder.
            mode = modes[name].encode().hex()
            value = f"COALESCE({value}, CAST(X'{mode}' AS STRING))"
        columns.append(f"{value} AS `_category_{i}`")
    return SQLTransformer(statement=f"SELECT {', '.join(columns)} FROM __THIS__")  # noqa: S608


def _quote(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def _modes(problem: Problem, indexer: StringIndexerModel) -> dict[str, str]:
    """The mode of each nullable category.

    It is the indexer's first label: labels are ordered by falling frequency, ties by
    alphabet. The export relies on that.
    """
    nullable = {f.name for f in problem.contract.fields if f.nullable}
    labels = dict(zip(problem.categorical_features, indexer.labelsArray, strict=True))
    empty = [name for name, known in labels.items() if name in nullable and not known]
    if empty:
        raise _no_value(empty)
    return {name: known[0] for name, known in labels.items() if name in nullable}


def _no_value(names: Sequence[str]) -> TrainingError:
    return TrainingError(
        f"There is not one value of {', '.join(names)} in the training part.",
        fix="Add rows that have a value, or take the column out of the problem's contract.",
    )


def _model_inputs(problem: Problem) -> list[str]:
    return [*problem.categorical_features, *problem.numeric_features]


def _count_missing(frame: DataFrame, names: Sequence[str]) -> list[tuple[str, int, int]]:
    """Name, missing values and rows of each column, in the order of ``names``."""
    texts = {name for name, kind in frame.dtypes if kind == "string"}
    counts = [F.count(F.lit(1))]
    for name in names:
        column = F.col(_quote(name))
        empty = column == "" if name in texts else F.isnan(column.cast("double"))
        counts.append(F.count(F.when(column.isNull() | empty, 1)))
    rows, *missing = frame.select(*counts).first()
    return [(name, int(count), int(rows)) for name, count in zip(names, missing, strict=True)]
