"""Finished runs beside a baseline: quality, what it cost, and how surely one is better."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from core.domain import Run
from core.errors import InvalidInputError, NotFoundError
from core.training.comparison import Incomparable, Judgement, Resampling, judge
from core.training.experiments import RunSummary
from core.training.predictions import HoldoutPredictions
from core.training.report import EvaluationReport
from core.wording import COSTS


class FinishedRuns(Protocol):
    """Where runs are read from."""

    def summary(self, run_id: str) -> RunSummary:
        """One run with what it was given and what it reached."""
        ...

    def report(self, run_id: str) -> EvaluationReport:
        """The evaluation of a finished run."""
        ...

    def predictions(self, run_id: str) -> HoldoutPredictions:
        """What its model says of every row of the holdout."""
        ...


@dataclass(frozen=True)
class Side:
    """One run of a comparison; the first one is the baseline and has no ``against``."""

    run: Run
    report: EvaluationReport
    #: Metric on the holdout -> this run minus the baseline.
    differences: Mapping[str, float]
    #: By the names in ``COSTS``, those that are known.
    costs: Mapping[str, float]
    against: Judgement | None


def lay_side_by_side(
    runs: FinishedRuns, run_ids: Sequence[str], how: Resampling
) -> tuple[Side, ...]:
    """Reads runs and holds each against the first.

    Raises:
        InvalidInputError: fewer than two different runs, or of different problems.
        NotFoundError: a run does not exist or has no evaluation.
    """
    ids = list(dict.fromkeys(run_ids))
    if len(ids) < 2:
        raise InvalidInputError(
            "A comparison takes two different runs at least.",
            fix="`pilothouse runs list` shows their ids; the first one named is the baseline.",
        )
    reports = {run_id: runs.report(run_id) for run_id in ids}
    problems = sorted({report.problem for report in reports.values()})
    if len(problems) > 1:
        raise InvalidInputError(
            f"These runs are of different problems: {', '.join(problems)}.",
            fix="Compare runs of one problem.",
        )
    baseline = ids[0]
    reference = _predictions(runs, baseline)
    sides = []
    for run_id in ids:
        summary = runs.summary(run_id)
        against = None
        if run_id != baseline:
            thresholds = (reports[baseline].threshold, reports[run_id].threshold)
            against = _judged(reference, _predictions(runs, run_id), thresholds, how)
        sides.append(
            Side(
                run=summary.run,
                report=reports[run_id],
                differences=_differences(reports[baseline], reports[run_id]) if against else {},
                costs={name: summary.metrics[name] for name in COSTS if name in summary.metrics},
                against=against,
            )
        )
    return tuple(sides)


def _predictions(runs: FinishedRuns, run_id: str) -> HoldoutPredictions | Incomparable:
    try:
        return runs.predictions(run_id)
    except NotFoundError:
        return Incomparable(f"Run {run_id[:8]} kept no predictions of the holdout.")


def _judged(
    baseline: HoldoutPredictions | Incomparable,
    candidate: HoldoutPredictions | Incomparable,
    thresholds: tuple[float, float],
    how: Resampling,
) -> Judgement:
    if isinstance(baseline, Incomparable):
        return Judgement(baseline, ())
    if isinstance(candidate, Incomparable):
        return Judgement(candidate, ())
    return judge(baseline, candidate, thresholds, how)


def _differences(baseline: EvaluationReport, report: EvaluationReport) -> dict[str, float]:
    return {
        name: estimate.value - baseline.metrics[name].value
        for name, estimate in report.metrics.items()
        if name in baseline.metrics
    }
