"""Searches model families by cross-validation in Spark, over a grid or adaptively.

Work is not repeated: features are fitted once per fold and kept in memory, candidates
run side by side on one session, and one fit scores every candidate that is a part of it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pyspark.ml import PipelineModel, Transformer
from pyspark.ml.functions import vector_to_array
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from sklearn.metrics import roc_auc_score

from core.data.tables import ROW_ID
from core.params import TrainingParams
from core.problems.contract import Problem
from core.training.adaptive import Budget, GiveUp, Proposers, best_of, search_adaptively
from core.training.estimators import build_estimator
from core.training.prefixes import gbt_prefix
from core.training.preprocessing import (
    LABEL,
    LINEAR_FEATURES,
    TREE_FEATURES,
    fit_features,
)
from core.training.report import Candidate
from core.training.splits import FOLD
from core.training.trials import ITERATIONS, Trial, plan_trials, share_fits

LOG = logging.getLogger(__name__)
FloatArray = npt.NDArray[np.float64]
#: Hears, after each trial, how many are done, of how many, and the best mean AUC so far.
OnTrial = Callable[[int, int, float], None]


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


def search(
    train: DataFrame,
    problem: Problem,
    params: TrainingParams,
    propose: Proposers,
    on_trial: OnTrial,
) -> SearchResult:
    """Searches by the strategy of ``params``; on equal AUC the earlier trial wins."""
    chosen, seed = params.search, params.split.seed
    if chosen.strategy == "grid":
        trials = plan_trials(problem.search_space, chosen.families, chosen.trials, seed)
        return cross_validate(
            train,
            problem,
            trials,
            folds=range(params.split.folds),
            seed=seed,
            parallel=chosen.parallel_trials,
            on_trial=on_trial,
        )
    proposer = propose(problem.search_space, chosen.families, chosen.trials, seed)
    record = _Record(chosen.trials, on_trial)
    with _prepared(train, problem, range(params.split.folds)) as folds:

        def evaluate(index: int, trial: Trial, give_up: GiveUp) -> Candidate:
            return record.add(_attempt([index], [trial], folds, seed, give_up))[0]

        budget = Budget(chosen.trials, chosen.seconds)
        search_adaptively(proposer, evaluate, budget, chosen.parallel_trials)
    return record.result()


def cross_validate(
    train: DataFrame,
    problem: Problem,
    trials: Sequence[Trial],
    *,
    folds: Sequence[int],
    seed: int,
    parallel: int,
    on_trial: OnTrial,
) -> SearchResult:
    """Fits every trial on every fold and keeps the one with the best mean AUC.

    On equal AUC the earlier trial wins. Each of ``folds`` is left out once and predicted
    by a model of all other rows; one fold alone makes a single split.
    """
    record = _Record(len(trials), on_trial)
    with _prepared(train, problem, folds) as prepared:

        def attempt(group: Sequence[int]) -> None:
            members = [trials[index] for index in group]
            record.add(_attempt(group, members, prepared, seed, _never))

        with ThreadPoolExecutor(max_workers=parallel, thread_name_prefix="trial") as pool:
            for future in [pool.submit(attempt, group) for group in share_fits(trials)]:
                future.result()
    return record.result()


def _never(_: Sequence[float]) -> bool:
    return False


class _Record:
    """What is done, in whatever order threads finish; it tells how far the search is."""

    def __init__(self, planned: int, on_trial: OnTrial) -> None:
        self._planned = planned
        self._on_trial = on_trial
        self._began = time.perf_counter()
        self._done: dict[int, tuple[Candidate, OutOfFold]] = {}

    def add(self, done: Sequence[tuple[Candidate, OutOfFold]]) -> list[Candidate]:
        done_s = time.perf_counter() - self._began
        for attempted, predictions in done:
            candidate = attempted.model_copy(update={"done_s": done_s})
            self._done[candidate.index] = (candidate, predictions)
            best = best_of([c for c, _ in list(self._done.values())])
            self._on_trial(len(self._done), self._planned, best.mean_auc if best else 0.0)
        return [candidate for candidate, _ in done]

    def result(self) -> SearchResult:
        candidates = tuple(self._done[index][0] for index in sorted(self._done))
        best = best_of(candidates)
        if best is None:
            raise AssertionError("a search keeps its first candidate")
        return SearchResult(candidates, best, self._done[best.index][1])


@contextmanager
def _prepared(train: DataFrame, problem: Problem, folds: Sequence[int]) -> Iterator[list[_Fold]]:
    prepared = [_prepare(train, problem, index) for index in folds]
    try:
        yield prepared
    finally:
        for fold in prepared:
            fold.train.unpersist()
            fold.valid.unpersist()


def _prepare(train: DataFrame, problem: Problem, fold: int) -> _Fold:
    train.sparkSession.sparkContext.setJobDescription(f"features of fold {fold}")
    inside = train.where(F.col(FOLD) != fold)
    model = fit_features(inside, problem)
    keep = [ROW_ID, LABEL, TREE_FEATURES, LINEAR_FEATURES]
    fitted = model.transform(inside).select(*keep).cache()
    valid = model.transform(train.where(F.col(FOLD) == fold)).select(*keep).cache()
    fitted.count()
    valid.count()
    return _Fold(fold, model, fitted, valid)


def _attempt(
    indexes: Sequence[int],
    trials: Sequence[Trial],
    folds: Sequence[_Fold],
    seed: int,
    give_up: GiveUp,
) -> list[tuple[Candidate, OutOfFold]]:
    """Cross-validates trials that share their fits; the time is divided among them."""
    started = time.perf_counter()
    parts: list[list[OutOfFold]] = [[] for _ in trials]
    scores: list[list[float]] = [[] for _ in trials]
    numbers = ", ".join(str(index) for index in indexes)
    name = f"{trials[0].family}: {'trials' if len(trials) > 1 else 'trial'} {numbers}"
    for fold in folds:
        if scores[0] and all(give_up(known) for known in scores):
            break
        # Holds for this thread alone; stages that took long are shown under this name.
        context = fold.train.sparkSession.sparkContext
        context.setJobDescription(f"{name}, fold {fold.index}")
        for i, part in enumerate(_fit_and_score(trials, fold, seed)):
            parts[i].append(part)
            scores[i].append(float(roc_auc_score(part.label, part.probability)))
    seconds = (time.perf_counter() - started) / len(trials)
    pruned = len(scores[0]) < len(folds)
    candidates = [
        _candidate(index, trial, aucs, seconds, pruned)
        for index, trial, aucs in zip(indexes, trials, scores, strict=True)
    ]
    return [(one, _joined(own)) for one, own in zip(candidates, parts, strict=True)]


def _candidate(
    index: int, trial: Trial, scores: Sequence[float], seconds: float, pruned: bool
) -> Candidate:
    spread = float(np.std(scores, ddof=1) / np.sqrt(len(scores))) if len(scores) > 1 else None
    candidate = Candidate(
        index=index,
        family=trial.family,
        params=trial.params,
        fold_auc=tuple(scores),
        mean_auc=float(np.mean(scores)),
        standard_error=spread,
        seconds=seconds,
        pruned=pruned,
    )
    LOG.info(
        "trial %d %s %s: AUC %.4f in %.1f s%s",
        index,
        trial.family,
        dict(trial.params),
        candidate.mean_auc,
        candidate.seconds,
        f", given up after fold {len(scores)}" if pruned else "",
    )
    return candidate


def _fit_and_score(trials: Sequence[Trial], fold: _Fold, seed: int) -> list[OutOfFold]:
    largest = max(trials, key=_iterations)
    estimator = build_estimator(largest.family, largest.params, seed, fold.features)
    model = estimator.fit(fold.train)
    return [
        _score(model if one is largest else gbt_prefix(model, _iterations(one)), fold)
        for one in trials
    ]


def _iterations(trial: Trial) -> int:
    return int(trial.params.get(ITERATIONS, 0))


def _score(model: Transformer, fold: _Fold) -> OutOfFold:
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
