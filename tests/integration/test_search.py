"""The search on a real Spark: work that is saved changes no number."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pyspark.ml.functions import vector_to_array
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from core.adapters.spark_stages import StageLog
from core.bootstrap_engines import propose_by_tpe
from core.data.tables import ROW_ID
from core.params import load_params, override_training
from core.problems.titanic import PROBLEM as TITANIC
from core.settings import CODE_ROOT
from core.training.estimators import build_estimator
from core.training.prefixes import gbt_prefix
from core.training.search import SearchResult, cross_validate, search
from core.training.splits import FOLD
from core.training.trials import make_trial, plan_trials
from tests.integration import test_export_parity as parity

pytestmark = parity.pytestmark
spark = parity.spark
titanic = parity.titanic

PROBLEM = replace(
    TITANIC,
    search_space={
        "lr": {"regParam": (0.0, 0.1), "elasticNetParam": (0.0, 1.0)},
        "gbt": {"maxIter": (2, 5), "maxDepth": (2, 3)},
    },
)
SEED = 7
FOLDS = 2
PARAMS = override_training(
    load_params(CODE_ROOT / "params.yaml").training,
    {"search.families": "[lr, gbt]", "split.folds": str(FOLDS), "split.seed": str(SEED)},
)


@pytest.fixture(scope="module")
def train(titanic: parity.Data) -> DataFrame:
    rows = titanic.train.withColumn(ROW_ID, F.monotonically_increasing_id())
    return rows.withColumn(FOLD, (F.col(ROW_ID) % FOLDS).cast("int")).cache()


def run(train: DataFrame, **changes: str) -> SearchResult:
    dotted = {f"search.{key}": value for key, value in changes.items()}
    params = override_training(PARAMS, dotted)
    return search(train, PROBLEM, params, propose_by_tpe, lambda done, total, best: None)


def outcomes(result: SearchResult) -> list[dict[str, object]]:
    """Candidates without the time they took."""
    return [candidate.model_dump(exclude={"seconds", "done_s"}) for candidate in result.candidates]


@pytest.mark.parametrize("shorter", [1, 5])
def test_the_first_trees_of_a_boosted_model_are_the_shorter_model(
    titanic: parity.Data, shorter: int
) -> None:
    vectors = titanic.features.transform(titanic.train).cache()

    def fit(iterations: int):
        params = {"maxIter": iterations, "maxDepth": 3, "stepSize": 0.1}
        return build_estimator("gbt", params, SEED, titanic.features).fit(vectors)

    def probabilities(model) -> np.ndarray:
        column = vector_to_array(F.col("probability")).getItem(1).alias("p")
        return np.array([row.p for row in model.transform(vectors).select(column).collect()])

    whole, fitted = fit(12), fit(shorter)
    prefix = gbt_prefix(whole, shorter)
    assert prefix.getNumTrees == shorter
    assert prefix.treeWeights == fitted.treeWeights
    assert [tree.toDebugString.split("\n", 1)[1] for tree in prefix.trees] == [
        tree.toDebugString.split("\n", 1)[1] for tree in fitted.trees
    ]
    assert np.array_equal(probabilities(prefix), probabilities(fitted))
    assert not np.array_equal(probabilities(prefix), probabilities(whole))


@pytest.mark.long
def test_a_grid_gives_what_its_candidates_give_one_by_one(train: DataFrame) -> None:
    whole = run(train, strategy="grid", trials="7")
    alone = [
        cross_validate(
            train,
            PROBLEM,
            [trial],
            folds=range(FOLDS),
            seed=SEED,
            parallel=1,
            on_trial=lambda done, total, best: None,
        )
        for trial in plan_trials(PROBLEM.search_space, ("lr", "gbt"), 7, SEED)
    ]
    assert [(c.params, c.fold_auc) for c in whole.candidates] == [
        (one.best.params, one.best.fold_auc) for one in alone
    ]
    assert len(whole.candidates) == 3 + 4
    # When one was done is counted from before its fits.
    assert all((one.done_s or 0.0) > one.seconds for one in whole.candidates)
    assert not any(candidate.pruned for candidate in whole.candidates)
    best = max(alone, key=lambda one: one.best.mean_auc)
    assert whole.best.mean_auc == best.best.mean_auc
    assert np.array_equal(whole.out_of_fold.row_id, np.arange(train.count()))
    assert np.array_equal(whole.out_of_fold.probability, best.out_of_fold.probability)


def test_stages_carry_the_trial_they_belong_to(spark: SparkSession, train: DataFrame) -> None:
    train.count()
    log = StageLog(spark)
    gbt = {"maxDepth": 2, "stepSize": 0.1}
    cross_validate(
        train,
        PROBLEM,
        [
            make_trial("gbt", {**gbt, "maxIter": 1}),
            make_trial("lr", {"regParam": 0.1, "elasticNetParam": 0.0}),
            make_trial("gbt", {**gbt, "maxIter": 2}),
        ],
        folds=range(FOLDS),
        seed=SEED,
        parallel=2,
        on_trial=lambda done, total, best: None,
    )
    log.read()
    log.settle()
    # Every stage says what it is for, and what went before is not among them.
    assert {stage.description for stage in log.stages} == {
        f"{work}fold {fold}"
        for work in ("features of ", "lr: trial 1, ", "gbt: trials 0, 2, ")
        for fold in range(FOLDS)
    }
    assert len({stage.id for stage in log.stages}) == len(log.stages)
    assert min(stage.begin_s for stage in log.stages) >= 0
    assert sum(stage.task_s for stage in log.stages) > 0


def test_the_skew_of_a_stage_is_its_longest_task_over_the_median(spark: SparkSession) -> None:
    log = StageLog(spark)
    nap = "reflect('java.lang.Thread', 'sleep', CASE WHEN id = 2 THEN 900L ELSE 150L END)"
    spark.range(0, 3, 1, 3).select(F.expr(nap)).collect()
    spark.range(0, 1, 1, 1).collect()
    log.settle()
    uneven, single = log.stages
    assert (uneven.tasks, single.tasks) == (3, 1)
    assert uneven.skew is not None
    assert 1.5 < uneven.skew < 6.5
    assert single.skew is None
    assert uneven.task_s > 0.9
    assert uneven.seconds > 0.9


@pytest.mark.long
def test_tpe_gives_the_same_candidates_again(train: DataFrame) -> None:
    first = run(train, strategy="tpe", trials="6", parallel_trials="2")
    again = run(train, strategy="tpe", trials="6", parallel_trials="2")
    assert outcomes(first) == outcomes(again)
    assert [c.family for c in first.candidates[:2]] == ["lr", "gbt"]
    assert len(first.candidates) == 6
    assert not first.best.pruned
    assert np.array_equal(first.out_of_fold.probability, again.out_of_fold.probability)
    assert len(first.out_of_fold.row_id) == train.count()
