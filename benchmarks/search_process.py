"""One search in a process of its own, so that no JVM is warmed by another search.

Prints its outcome as one line of JSON. The clock starts when the session stands.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from pyspark.ml.evaluation import BinaryClassificationEvaluator
from pyspark.sql import DataFrame, SparkSession

from benchmarks.candidates import GRIDS, our_trials
from benchmarks.outcome import FamilyOutcome, SearchOutcome
from benchmarks.recipe import search_by_recipe
from benchmarks.sessions import local_spark, ray_spark
from benchmarks.split import VALIDATION, with_single_split
from core.adapters.spark_configs import session_configs
from core.bootstrap import PROVIDERS
from core.bootstrap_engines import propose_by_tpe
from core.params import Params, load_params, override_training
from core.problems.titanic import PROBLEM
from core.settings import load_settings
from core.training import pipeline
from core.training.adaptive import best_of
from core.training.checkpoints import checkpoints
from core.training.estimators import build_estimator
from core.training.preprocessing import LABEL, fit_features
from core.training.search import SearchResult, cross_validate, search
from core.training.splits import pin_partitions
from core.training.trials import Trial
from core.training.workspace import Workspace

CORES = 2
WARM_UP = Trial("rf", {"numTrees": 2, "maxDepth": 2})


def main() -> int:
    """Runs the search named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("search", choices=SEARCHES)
    parser.add_argument("workspace", type=Path)
    given = parser.parse_args()
    logging.basicConfig(level="INFO", format="%(asctime)s %(message)s")
    logging.getLogger("py4j").setLevel(logging.WARNING)
    params = load_params(load_settings().params_file)
    outcome = SEARCHES[given.search](params, Workspace(given.workspace))
    sys.stdout.write(outcome.model_dump_json() + "\n")
    return 0


def _prepare(params: Params, ws: Workspace) -> SearchOutcome:
    """The product's first stages: what every search reads."""
    began = time.perf_counter()
    pipeline.ingest_stage(PROBLEM, PROVIDERS, ws)
    pipeline.validate_stage(PROBLEM, ws)
    with local_spark(f"local[{CORES}]", session_configs(CORES)) as spark:
        pipeline.preprocess_stage(spark, PROBLEM, params.training, ws)
    return SearchOutcome(seconds=time.perf_counter() - began)


def _recipe(params: Params, ws: Workspace) -> SearchOutcome:
    with local_spark("local[*]", {}) as spark:
        began = time.perf_counter()
        train, holdout = _read(spark, ws.train), _read(spark, ws.holdout)
        found = search_by_recipe(train, holdout, PROBLEM, params.training.split.seed)
        return SearchOutcome(seconds=time.perf_counter() - began, families=found)


def _ours_locally(params: Params, ws: Workspace) -> SearchOutcome:
    with (
        local_spark(f"local[{CORES}]", session_configs(CORES)) as spark,
        checkpoints(spark, ws.checkpoints),
    ):
        return _search_single_split(spark, params, ws)


def _ours_on_ray(params: Params, ws: Workspace) -> SearchOutcome:
    profile = params.profile_named(params.profile)
    with ray_spark(profile, params.training.spark) as spark, checkpoints(spark, ws.checkpoints):
        _warm_up(spark, params, ws)
        return _search_single_split(spark, params, ws)


def _tpe_on_ray(params: Params, ws: Workspace) -> SearchOutcome:
    training = override_training(params.training, {"search.strategy": "tpe"})
    profile = params.profile_named(params.profile)
    with ray_spark(profile, training.spark) as spark, checkpoints(spark, ws.checkpoints):
        _warm_up(spark, params, ws)
        began = time.perf_counter()
        train = pin_partitions(_read(spark, ws.train), 1).cache()
        best = search(train, PROBLEM, training, propose_by_tpe, _unheard).best
        return SearchOutcome(seconds=time.perf_counter() - began, cross_validated_auc=best.mean_auc)


def _grid_on_folds(params: Params, ws: Workspace) -> SearchOutcome:
    """The 29 candidates on the folds that ``tpe`` sees: what its best is held against."""
    with (
        local_spark(f"local[{CORES}]", session_configs(CORES)) as spark,
        checkpoints(spark, ws.checkpoints),
    ):
        began = time.perf_counter()
        train = pin_partitions(_read(spark, ws.train), 1).cache()
        best = _cross_validate(train, params, range(params.training.split.folds)).best
        return SearchOutcome(seconds=time.perf_counter() - began, cross_validated_auc=best.mean_auc)


SEARCHES: Mapping[str, Callable[[Params, Workspace], SearchOutcome]] = {
    "prepare": _prepare,
    "recipe": _recipe,
    "ours-local": _ours_locally,
    "ours-ray": _ours_on_ray,
    "tpe-ray": _tpe_on_ray,
    "grid-on-folds": _grid_on_folds,
}


def _read(spark: SparkSession, folder: Path) -> DataFrame:
    return spark.read.parquet(f"file://{folder}")


def _unheard(_done: int, _planned: int, _best: float) -> None:
    return


def _warm_up(spark: SparkSession, params: Params, ws: Workspace) -> None:
    train = with_single_split(_read(spark, ws.train), params.training.split.seed)
    cross_validate(
        pin_partitions(train, 1),
        PROBLEM,
        [WARM_UP],
        folds=[VALIDATION],
        seed=params.training.split.seed,
        parallel=1,
        on_trial=_unheard,
    )


def _cross_validate(train: DataFrame, params: Params, folds: range) -> SearchResult:
    seed = params.training.split.seed
    return cross_validate(
        train,
        PROBLEM,
        our_trials(seed),
        folds=folds,
        seed=seed,
        parallel=params.training.search.parallel_trials,
        on_trial=_unheard,
    )


def _search_single_split(spark: SparkSession, params: Params, ws: Workspace) -> SearchOutcome:
    """Does what the recipe does, up to each family's best on the holdout."""
    began = time.perf_counter()
    seed = params.training.split.seed
    train = pin_partitions(with_single_split(_read(spark, ws.train), seed), 1).cache()
    found = _cross_validate(train, params, range(VALIDATION, VALIDATION + 1))
    features = fit_features(train, PROBLEM)
    vectors = features.transform(train).cache()
    holdout = features.transform(_read(spark, ws.holdout)).cache()
    evaluator = BinaryClassificationEvaluator(labelCol=LABEL)
    outcomes = []
    for family in GRIDS:
        best = best_of([one for one in found.candidates if one.family == family])
        if best is None:
            raise AssertionError(f"no candidate of {family} was tried")
        model = build_estimator(family, best.params, seed, features).fit(vectors)
        outcomes.append(
            FamilyOutcome(
                family=family,
                validation_auc=best.mean_auc,
                holdout_auc=evaluator.evaluate(model.transform(holdout)),
            )
        )
    return SearchOutcome(seconds=time.perf_counter() - began, families=tuple(outcomes))


if __name__ == "__main__":
    sys.exit(main())
