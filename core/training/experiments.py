"""Reads finished runs for comparison."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from core.adapters.database import Database
from core.adapters.mlflow import RunTracker, TrackedRun
from core.domain import Run
from core.errors import NotFoundError, UnavailableError
from core.training.artifacts import read_holdout, read_value
from core.training.importance import Explain, Importance, importances
from core.training.predictions import HoldoutPredictions
from core.training.report import EvaluationReport
from core.training.run_memory import RunMemory
from core.training.stage_times import StageTimes, stage_times
from core.training.tracking import REPORT_FILE, USAGE_FILE
from core.training.usage import Usage

LOG = logging.getLogger(__name__)
#: Runs of a problem that are read before anybody asks; the most that a page shows.
READ_AHEAD = 1000


@dataclass(frozen=True)
class RunSummary:
    """A run with what it was given and what it reached."""

    run: Run
    family: str | None
    params: Mapping[str, str]
    metrics: Mapping[str, float]


class ExperimentService:
    """Runs side by side."""

    def __init__(self, database: Database, tracker: RunTracker, explain: Explain) -> None:
        self._database = database
        self._tracker = tracker
        self._explain = explain
        self._memory = RunMemory(tracker)

    def read_ahead(self, problems: Iterable[str]) -> None:
        """Reads the runs of problems into memory, so that no page has to wait for it.

        A service that is down is for whoever asks next to hear of.
        """
        for problem in problems:
            try:
                self._memory.newest(problem, READ_AHEAD)
            except UnavailableError as exc:
                LOG.info("runs of %s are not read ahead: %s", problem, exc)

    def table(self, problem: str, limit: int = 200) -> tuple[RunSummary, ...]:
        """Runs of a problem in MLflow, newest first; those of `dvc repro` among them."""
        known = {run.id: run for run in self._database.runs(problem, limit)}
        tracked = self._memory.newest(problem, limit)
        return tuple(_summary(known.get(t.id) or _run(problem, t), t) for t in tracked)

    def summary(self, run_id: str) -> RunSummary:
        """One run with what it was given and what it reached.

        Raises:
            NotFoundError: there is no such run, or it was deleted in MLflow.
        """
        tracked = self._tracker.get(run_id)
        try:
            run = self._database.run(run_id)
        except NotFoundError:
            run = _run(tracked.tags.get("problem", ""), tracked)
        return _summary(run, tracked)

    def report(self, run_id: str) -> EvaluationReport:
        """The evaluation of a finished run.

        Raises:
            NotFoundError: the run has none, or it was deleted in MLflow.
        """
        foreign = NotFoundError(
            f"The report of run {run_id[:8]} is of another release.", fix="Run the training again."
        )
        return read_value(self._tracker, run_id, REPORT_FILE, EvaluationReport, foreign=foreign)

    def importance(self, report: EvaluationReport) -> tuple[Importance, ...]:
        """How much the family and each family's parameters mattered in a run's search."""
        return importances(report.candidates, self._explain)

    def usage(self, run_id: str) -> Usage:
        """What a run's work on Spark cost.

        Raises:
            NotFoundError: nothing was measured, or the run was deleted in MLflow.
        """
        foreign = NotFoundError(
            f"What run {run_id[:8]} cost was written by another release.",
            fix="Run the training again.",
        )
        return read_value(self._tracker, run_id, USAGE_FILE, Usage, foreign=foreign)

    def stage_times(self, run_id: str) -> StageTimes | None:
        """How long each stage of a run took; ``None`` if it was not told.

        Raises:
            NotFoundError: there is no such run, or it was deleted in MLflow.
        """
        return stage_times(self._tracker.get(run_id).metrics)

    def predictions(self, run_id: str) -> HoldoutPredictions:
        """What a finished run's model says of every row of the holdout.

        Raises:
            NotFoundError: the run is of a release that kept none, or it was deleted.
        """
        return read_holdout(self._tracker, run_id)


def _run(problem: str, tracked: TrackedRun) -> Run:
    """A run that was not started by this installation's services."""
    return Run(
        id=tracked.id,
        problem=problem,
        status=tracked.status,
        profile=tracked.tags.get("profile", ""),
        started_by=tracked.tags.get("started_by", ""),
        started_at=tracked.started_at,
        ended_at=tracked.ended_at,
    )


def _summary(run: Run, tracked: TrackedRun) -> RunSummary:
    metrics = dict(tracked.metrics)
    if run.ended_at is not None:
        metrics["wall_seconds"] = (run.ended_at - run.started_at).total_seconds()
    return RunSummary(run, tracked.tags.get("family"), tracked.params, metrics)
