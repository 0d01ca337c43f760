"""Searches model families by cross-validation in Spark.

Work is not repeated: features are fitted once per fold and kept in memory, and
candidates run side by side on one session.
"""

from __future__ import annotations

import itertools
import logging
import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pyspark.ml import PipelineModel
from pyspark.ml.functions import vector_to_array
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from sklearn.metrics import roc_auc_score

from core.data.tables import ROW_ID
from core.problems.contract import Problem, SearchSpace
from core.training.preprocessing import (
    LABEL,
    LINEAR_FEATURES,
    TREE_FEATURES,
    build_estimator,
    fit_features,
)
from core.training.report import Candidate
from core.training.splits import FOLD

LOG = logging.getLogger(__name__)
ParamValues = Mapping[str, float | int | str]
FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Trial:
    """One point of the search space."""

    family: str
    params: ParamValues


@dataclass(frozen=True)
class OutOfFold:
    """Predictions for every training row by a model that did not see it; shape (rows,)."""

    row_id: npt.NDArray[np.int64]
    label: FloatArray
    probability: FloatArray
    fold: npt.NDArray[np.int64]


@dataclass(frozen=True)
class SearchResult:
    """All candidates in order of trial, the best, and its out-of-fold predictions."""

    candidates: tuple[Candidate, ...]
    best: Candidate
    out_of_fold: OutOfFold


@dataclass(frozen=True)
class _Fold:
    index: int
    features: PipelineModel
    train: DataFrame
    valid: DataFrame


def plan_trials(
    space: SearchSpace, families: Sequence[str], budget: int, seed: int
) -> tuple[Trial, ...]:
    """Chooses up to ``budget`` distinct models, the families taking turns.

    Each family's grid is shuffled with the seed; grid points that are the same model
    (``elasticNetParam`` means nothing where ``regParam`` is 0) count once.
    """
    queues = [_shuffled_grid(family, space[family], seed) for family in families]
    turns = itertools.chain.from_iterable(itertools.zip_longest(*queues))
    return tuple(itertools.islice((t for t in turns if t is not None), budget))


def _shuffled_grid(
    family: str, grid: Mapping[str, tuple[float | int | str, ...]], seed: int
) -> list[Trial]:
    names = sorted(grid)
    points = [dict(zip(names, values, strict=True)) for values in _product(grid, names)]
    for point in points:
        if point.get("regParam") == 0:
            point["elasticNetParam"] = 0.0
    distinct = {tuple(sorted(point.items())): Trial(family, point) for point in points}
    trials = list(distinct.values())
    random.Random(f"{seed}:{family}").shuffle(trials)  # noqa: S311 - a plan, not a secret
    return trials


def _product(
    grid: Mapping[str, tuple[float | int | str, ...]], names: Sequence[str]
) -> Iterable[tuple[float | int | str, ...]]:
    return itertools.product(*(grid[name] for name in names))


def cross_validate(
    train: DataFrame,
    problem: Problem,
    trials: Sequence[Trial],
    *,
    folds: int,
    seed: int,
    parallel: int,
    on_trial: Callable[[int, int, float], None],
) -> SearchResult:
    """Fits every trial on every fold and keeps the one with the best mean AUC.

    ``on_trial`` hears, after each trial, how many are done, of how many, and the best
    mean AUC so far. On equal AUC the earlier trial wins.
    """
    prepared = [_prepare(train, problem, index) for index in range(folds)]
    done: dict[int, tuple[Candidate, OutOfFold]] = {}

    def attempt(index: int) -> None:
        done[index] = _attempt(index, trials[index], prepared, seed)
        on_trial(len(done), len(trials), max(c.mean_auc for c, _ in list(done.values())))

    try:
        with ThreadPoolExecutor(max_workers=parallel, thread_name_prefix="trial") as pool:
            for future in [pool.submit(attempt, index) for index in range(len(trials))]:
                future.result()
    finally:
        for fold in prepared:
            fold.train.unpersist()
            fold.valid.unpersist()
    candidates = tuple(done[index][0] for index in range(len(trials)))
    best = max(candidates, key=lambda c: (c.mean_auc, -c.index))
    return SearchResult(candidates, best, done[best.index][1])


def _prepare(train: DataFrame, problem: Problem, fold: int) -> _Fold:
    inside = train.where(F.col(FOLD) != fold)
    model = fit_features(inside, problem)
    keep = [ROW_ID, LABEL, TREE_FEATURES, LINEAR_FEATURES]
    fitted = model.transform(inside).select(*keep).cache()
    valid = model.transform(train.where(F.col(FOLD) == fold)).select(*keep).cache()
    fitted.count()
    valid.count()
    return _Fold(fold, model, fitted, valid)


def _attempt(
    index: int, trial: Trial, folds: Sequence[_Fold], seed: int
) -> tuple[Candidate, OutOfFold]:
    started = time.perf_counter()
    parts = [_fit_and_score(trial, fold, seed) for fold in folds]
    scores = [float(roc_auc_score(part.label, part.probability)) for part in parts]
    candidate = Candidate(
        index=index,
        family=trial.family,
        params=trial.params,
        fold_auc=tuple(scores),
        mean_auc=float(np.mean(scores)),
        standard_error=float(np.std(scores, ddof=1) / np.sqrt(len(scores))),
        seconds=time.perf_counter() - started,
    )
    LOG.info(
        "trial %d %s %s: AUC %.4f in %.1f s",
        index,
        trial.family,
        dict(trial.params),
        candidate.mean_auc,
        candidate.seconds,
    )
    return candidate, _joined(parts)


def _fit_and_score(trial: Trial, fold: _Fold, seed: int) -> OutOfFold:
    estimator = build_estimator(trial.family, trial.params, seed, fold.features)
    model = estimator.fit(fold.train)
    probability = vector_to_array(F.col("probability")).getItem(1)
    rows = model.transform(fold.valid).select(ROW_ID, LABEL, probability.alias("p")).collect()
    return OutOfFold(
        row_id=np.array([row[0] for row in rows], dtype=np.int64),
        label=np.array([row[1] for row in rows], dtype=np.float64),
        probability=np.array([row[2] for row in rows], dtype=np.float64),
        fold=np.full(len(rows), fold.index, dtype=np.int64),
    )


def _joined(parts: Sequence[OutOfFold]) -> OutOfFold:
    row_id = np.concatenate([part.row_id for part in parts])
    order = np.argsort(row_id, kind="stable")
    return OutOfFold(
        row_id=row_id[order],
        label=np.concatenate([part.label for part in parts])[order],
        probability=np.concatenate([part.probability for part in parts])[order],
        fold=np.concatenate([part.fold for part in parts])[order],
    )
