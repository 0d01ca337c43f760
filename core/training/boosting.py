"""How much each further iteration of boosting brings, by depth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pyspark.sql import DataFrame

from core.params import TrainingParams
from core.problems.contract import Problem
from core.training.report import Candidate
from core.training.search import cross_validate
from core.training.sweep_report import BoostingPoint
from core.training.trials import ITERATIONS, ParamValues, Trial

FAMILY, DEPTH = "gbt", "maxDepth"
_STEPS = (1, 2, 5)


def boosting_curve(
    train: DataFrame, problem: Problem, training: TrainingParams, best: ParamValues
) -> tuple[BoostingPoint, ...]:
    """Cross-validates ensembles of every depth of the search space, cut ever shorter.

    Each depth is fitted once, as long as the search space allows, and its prefixes are
    scored. Every other parameter is that of ``best``.

    Returns:
        Points by depth, then by iterations; none where the search space leaves depth or
        iterations open.
    """
    space = problem.search_space[FAMILY]
    depths = sorted({int(depth) for depth in space.get(DEPTH, ())})
    lengths = [int(length) for length in space.get(ITERATIONS, ())]
    if not depths or not lengths:
        return ()
    cuts = cuts_up_to(max(lengths))
    trials = [
        Trial(FAMILY, {**best, DEPTH: depth, ITERATIONS: cut}) for depth in depths for cut in cuts
    ]
    result = cross_validate(
        train,
        problem,
        trials,
        folds=range(training.split.folds),
        seed=training.split.seed,
        parallel=training.search.parallel_trials,
        on_trial=lambda _done, _planned, _best: None,
    )
    by_depth = (result.candidates[i : i + len(cuts)] for i in range(0, len(trials), len(cuts)))
    return tuple(point for candidates in by_depth for point in _points(candidates))


def cuts_up_to(longest: int) -> tuple[int, ...]:
    """Returns 1, 2, 5, 10, 20, 50, ... below ``longest``, and ``longest``."""
    cuts, decade = [], 1
    while decade < longest:
        cuts += [step * decade for step in _STEPS if step * decade < longest]
        decade *= 10
    return (*cuts, longest)


def _points(candidates: Sequence[Candidate]) -> Iterator[BoostingPoint]:
    """Points of one depth; one fit made them all, and its time was divided among them."""
    total = sum(candidate.seconds for candidate in candidates)
    longest = max(int(candidate.params[ITERATIONS]) for candidate in candidates)
    for candidate in candidates:
        iterations = int(candidate.params[ITERATIONS])
        yield BoostingPoint(
            max_depth=int(candidate.params[DEPTH]),
            iterations=iterations,
            cv_auc=candidate.mean_auc,
            seconds=total * iterations / longest,
        )
