"""The adaptive search: the same whatever the threads do, and no time for the hopeless."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from statistics import fmean

import pytest

from core.bootstrap_engines import propose_by_tpe
from core.problems.titanic import PROBLEM as TITANIC
from core.training.adaptive import (
    LEAST_MARGIN,
    Budget,
    GiveUp,
    Proposal,
    best_of,
    is_hopeless,
    search_adaptively,
)
from core.training.report import Candidate
from core.training.trials import Trial

SPACE = TITANIC.search_space
FAMILIES = ("lr", "rf", "gbt")
FOLDS = 3


def candidate(index: int, *fold_auc: float, error: float = 0.01, pruned: bool = False) -> Candidate:
    return Candidate(
        index=index,
        family="lr",
        params={},
        fold_auc=fold_auc,
        mean_auc=fmean(fold_auc),
        standard_error=error if len(fold_auc) > 1 else None,
        seconds=0.0,
        pruned=pruned,
    )


def auc_of(trial: Trial) -> float:
    """A landscape with its top at boosted trees of depth 5 and a small step."""
    if trial.family == "gbt":
        step, depth = float(trial.params["stepSize"]), int(trial.params["maxDepth"])
        return 0.88 - abs(step - 0.06) - 0.01 * abs(depth - 5)
    return {"lr": 0.80, "rf": 0.84}[trial.family] + 0.0001 * len(repr(trial.key))


@dataclass
class Fits:
    """Stands for Spark: fits take a time of their own, short or long."""

    jitter: random.Random = field(default_factory=lambda: random.Random(0))
    fitted: list[int] = field(default_factory=list)

    def evaluate(self, index: int, trial: Trial, give_up: GiveUp) -> Candidate:
        time.sleep(self.jitter.random() * 0.004)
        scores: list[float] = []
        for fold in range(FOLDS):
            if scores and give_up(scores):
                break
            scores.append(auc_of(trial) + 0.01 * (fold - 1))
            self.fitted.append(index)
        return Candidate(
            index=index,
            family=trial.family,
            params=trial.params,
            fold_auc=tuple(scores),
            mean_auc=fmean(scores),
            standard_error=0.006 if len(scores) > 1 else None,
            seconds=0.0,
            pruned=len(scores) < FOLDS,
        )


class Listed:
    """Proposes a list of trials, over and over."""

    def __init__(self, trials: Sequence[Trial]) -> None:
        self._trials = trials
        self.asked = 0
        self.told: list[tuple[int, int]] = []

    def ask(self) -> Proposal:
        self.asked += 1
        return Proposal(self.asked - 1, self._trials[(self.asked - 1) % len(self._trials)])

    def tell(self, proposal: Proposal, candidate: Candidate) -> None:
        self.told.append((proposal.number, candidate.index))


def forests(*trees: int) -> list[Trial]:
    return [Trial("rf", {"numTrees": n}) for n in trees]


def tpe(trials: int, parallel: int, seed: int = 7, jitter: int = 0) -> tuple[Candidate, ...]:
    fits = Fits(random.Random(jitter))
    proposer = propose_by_tpe(SPACE, FAMILIES, trials, seed)
    return search_adaptively(proposer, fits.evaluate, Budget(trials), parallel)


@pytest.mark.parametrize("parallel", [1, 2, 4])
def test_a_budget_of_trials_gives_the_same_search_again(parallel: int) -> None:
    first = tpe(20, parallel, jitter=1)
    assert len(first) == 20
    assert [c.index for c in first] == list(range(20))
    assert tpe(20, parallel, jitter=2) == first
    assert tpe(20, parallel, seed=8) != first


def test_every_family_comes_up_first_once() -> None:
    assert [c.family for c in tpe(6, 2)][:3] == list(FAMILIES)


def test_the_top_is_found_and_little_time_goes_to_the_hopeless() -> None:
    candidates = tpe(30, 2)
    best = best_of(candidates)
    assert best is not None
    assert best.family == "gbt"
    assert best.mean_auc > 0.87
    given_up = [c for c in candidates if c.pruned]
    assert given_up
    assert all(len(c.fold_auc) < FOLDS and c.mean_auc < best.mean_auc for c in given_up)


def test_proposals_stay_within_what_the_problem_lists() -> None:
    for found in tpe(40, 2):
        listed = SPACE[found.family]
        assert set(found.params) == set(listed)
        for name, value in found.params.items():
            numbers = [v for v in listed[name] if not isinstance(v, str)]
            assert not isinstance(value, str)
            assert min(numbers) <= value <= max(numbers)
            assert isinstance(value, int) == all(isinstance(v, int) for v in numbers)


def test_words_and_single_values_are_chosen_from_the_list() -> None:
    space = {"rf": {"impurity": ("gini", "entropy"), "numTrees": (50,), "maxDepth": (3, 4)}}
    proposer = propose_by_tpe(space, ("rf",), 100, 7)
    found = search_adaptively(proposer, Fits().evaluate, Budget(100), 2)
    # Four models are all there are: a repeat is no candidate, and the search ends.
    assert {tuple(sorted(c.params.items())) for c in found} == {
        (("impurity", impurity), ("maxDepth", depth), ("numTrees", 50))
        for impurity in ("gini", "entropy")
        for depth in (3, 4)
    }
    assert len(found) == 4


def test_a_model_that_was_fitted_is_answered_from_memory() -> None:
    fits, proposer = Fits(), Listed(forests(1, 1, 2, 1, 3))
    found = search_adaptively(proposer, fits.evaluate, Budget(3), 2)
    assert [c.params["numTrees"] for c in found] == [1, 2, 3]
    assert sorted(fits.fitted) == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert proposer.told == [(0, 0), (1, 0), (2, 1), (3, 0), (4, 2)]


@pytest.mark.parametrize("parallel", [1, 2, 3])
def test_a_proposal_knows_all_but_those_beside_it(parallel: int) -> None:
    told_at: list[int] = []

    class Watching(Listed):
        def ask(self) -> Proposal:
            told_at.append(len(self.told))
            return super().ask()

    trials = forests(*range(8))
    search_adaptively(Watching(trials), Fits().evaluate, Budget(8), parallel)
    assert told_at == [max(0, i + 1 - parallel) for i in range(8)]


def test_seconds_end_the_search_and_one_candidate_there_always_is() -> None:
    def tried(seconds: float) -> int:
        ticks = count()
        found = search_adaptively(
            Listed(forests(*range(50))),
            Fits().evaluate,
            Budget(50, seconds),
            parallel=1,
            clock=lambda: float(next(ticks)),
        )
        return len(found)

    assert tried(0.5) == 1
    assert 1 < tried(20) < 50
    assert tried(math.inf) == 50


def test_a_failing_fit_ends_the_search() -> None:
    def fail(index: int, trial: Trial, give_up: GiveUp) -> Candidate:
        raise RuntimeError("no such column")

    with pytest.raises(RuntimeError, match="no such column"):
        search_adaptively(Listed(forests(1, 2)), fail, Budget(2), 2)


def test_a_trial_is_hopeless_one_standard_error_behind_on_the_same_folds() -> None:
    best = candidate(0, 0.80, 0.90, 0.85, error=0.02)
    assert not is_hopeless([0.79], best)
    assert is_hopeless([0.77], best)
    assert not is_hopeless([0.77, 0.90], best)
    assert is_hopeless([0.82, 0.83], best)
    assert not is_hopeless([0.99], best)


def test_nothing_is_hopeless_before_there_is_a_best_or_by_a_hair() -> None:
    assert not is_hopeless([0.1], None)
    even = candidate(0, 0.85, 0.85, 0.85, error=0.0)
    assert not is_hopeless([0.85 - 0.9 * LEAST_MARGIN], even)
    assert is_hopeless([0.85 - 1.1 * LEAST_MARGIN], even)


def test_the_best_was_not_given_up_and_a_tie_goes_to_the_first() -> None:
    found = [
        candidate(0, 0.80, 0.82),
        candidate(1, 0.99, pruned=True),
        candidate(2, 0.84, 0.86),
        candidate(3, 0.86, 0.84),
    ]
    assert best_of(found) is found[2]
    assert best_of([]) is None
