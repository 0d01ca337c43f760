"""Starts, watches and cancels checks."""

from __future__ import annotations

import logging
import shlex
import sys
from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from core.adapters.database_batches import BatchRecords
from core.adapters.database_checks import CheckRecords
from core.adapters.mlflow import KIND_CHECK, RunTracker
from core.adapters.ray import RayCluster
from core.domain import Batch, Check, Progress, Promotion, RunStatus
from core.errors import (
    ConflictError,
    InvalidInputError,
    NotFoundError,
    PilothouseError,
    UnavailableError,
)
from core.monitoring.arrivals import require_window
from core.monitoring.job_spec import LOG_FILE, REPORT_FILE, CheckSpec, check_folder
from core.monitoring.large_batches import session_for
from core.monitoring.outcome import merged
from core.monitoring.reference import nothing_in_production
from core.monitoring.report import DriftReport
from core.params import Params
from core.problems import require_problem
from core.promotion.promotions import PromotionService
from core.training.artifacts import read_value
from core.training.jobs import end_job, is_lost, tail_of

LOG = logging.getLogger(__name__)
LOST = "The check's process ended without a word; its log may say why."
#: Earlier checks among which those of the same version are looked for.
MOST_EARLIER = 200


class MonitoringService:
    """Checks of every problem; each is a Ray Job that outlives its starter."""

    def __init__(
        self,
        params: Params,
        problems: Collection[str],
        records: CheckRecords,
        batches: BatchRecords,
        promotions: PromotionService,
        tracker: RunTracker,
        cluster: RayCluster,
        home: Path,
    ) -> None:
        self._params = params
        self._problems = problems
        self._records = records
        self._batches = batches
        self._promotions = promotions
        self._tracker = tracker
        self._cluster = cluster
        self._home = home

    def start(
        self,
        problem: str,
        *,
        batch_id: str | None = None,
        window: str | None = None,
        actor: str,
    ) -> Check:
        """Starts a check of the version in production and returns it at once.

        Args:
            problem: one of the problems of ``params.yaml``.
            batch_id: a batch of the problem; without it, a window is checked.
            window: hours or rows of the inference log, such as ``24h`` or ``5000 rows``;
                ``None`` takes the one of ``params.yaml``.
            actor: who starts it.

        Raises:
            NotFoundError: no such problem or batch, or nothing is in production.
            InvalidInputError: both batch and window are given, or the window is not
                understood.
            ConflictError: the same rows are being checked.
            ResourceError: the batch needs Spark, and the cluster cannot give it.
            UnavailableError: Ray or MLflow does not answer.
        """
        require_problem(problem, self._problems)
        if batch_id is not None and window is not None:
            raise InvalidInputError(
                "A check looks at a batch or at a window, not at both.", fix="Give one of them."
            )
        production = self._promotions.production(problem)
        if production is None:
            raise nothing_in_production(problem)
        batch = None if batch_id is None else self._batch(problem, batch_id)
        if batch is None:
            window = require_window(window or self._params.monitoring.window)
        self._refuse_second(problem, batch_id, window)
        return self._start(production, batch, window, actor)

    def _start(
        self, production: Promotion, batch: Batch | None, window: str | None, actor: str
    ) -> Check:
        spark = None if batch is None else session_for(batch, self._params, self._cluster)
        problem, started_at = production.problem, datetime.now(UTC)
        subject = {"batch": batch.id} if batch is not None else {"window": window or ""}
        tags = {"problem": problem, "started_by": actor, **subject}
        check = Check(
            id=self._tracker.create(
                problem,
                f"{problem}-check-{started_at:%Y%m%d-%H%M%S}",
                {**tags, "checked_version": str(production.version)},
                kind=KIND_CHECK,
            ),
            problem=problem,
            status=RunStatus.QUEUED,
            version=production.version,
            started_by=actor,
            started_at=started_at,
            batch_id=None if batch is None else batch.id,
            window=window,
        )
        try:
            self._records.add(check)
        except PilothouseError as exc:
            self._tell_mlflow(replace(check, status=RunStatus.CANCELLED), str(exc))
            raise
        spec = CheckSpec(
            check_id=check.id,
            problem=problem,
            started_at=started_at,
            version=production.version,
            run_id=production.run_id,
            batch_id=check.batch_id,
            data_version="" if batch is None else batch.data_version,
            window=window,
            monitoring=self._params.monitoring,
            spark=spark,
            earlier=self._earlier(check),
        )
        try:
            self._cluster.submit(_job_id(check), _command(spec))
        except UnavailableError as exc:
            self._end(check, RunStatus.FAILED, str(exc))
            raise
        return check

    def _batch(self, problem: str, batch_id: str) -> Batch:
        batch = self._batches.get(batch_id)
        if batch.problem != problem:
            raise NotFoundError(
                f"Batch {batch_id} is of {batch.problem}, not of {problem}.",
                fix=f"`pilothouse batch list {problem}` shows its batches.",
            )
        return batch

    def _refuse_second(self, problem: str, batch_id: str | None, window: str | None) -> None:
        for check in self._records.active():
            if (check.problem, check.batch_id, check.window) != (problem, batch_id, window):
                continue
            if self._refreshed(check).status.is_active:
                raise ConflictError(
                    f"Check {check.id[:8]} looks at the same rows already.",
                    fix="Wait for it to end or cancel it.",
                )

    def _earlier(self, check: Check) -> tuple[str, ...]:
        params = self._params.monitoring
        most = max(params.drift.psi_checks - 1, params.performance.past_checks)
        same = [
            one.id
            for one in self.list(check.problem, MOST_EARLIER)
            if one.status is RunStatus.FINISHED and one.version == check.version
        ]
        # A few more, because those without a verdict or of the same batch do not count.
        return tuple(same[: 2 * most])

    def list(self, problem: str | None = None, limit: int = 100) -> tuple[Check, ...]:
        """Checks, newest first."""
        self.refresh()
        return self._records.list(problem, limit)

    def get(self, check_id: str) -> Check:
        """Reads one check.

        Raises:
            NotFoundError: there is no such check.
        """
        return self._refreshed(self._records.get(check_id))

    def progress(self, check_id: str) -> Progress | None:
        """What a check last said it was doing; ``None`` while it has not begun.

        Raises:
            NotFoundError: there is no such check.
            UnavailableError: MLflow does not answer.
        """
        return self._tracker.get(check_id).progress

    def report(self, check_id: str) -> DriftReport:
        """What a finished check found.

        Raises:
            NotFoundError: there is no such check, or it has not finished.
            UnavailableError: MLflow does not answer.
        """
        check = self.get(check_id)
        if check.status is not RunStatus.FINISHED:
            raise NotFoundError(
                f"Check {check_id[:8]} has no report: it is {check.status.value}.",
                fix=check.error or "Wait for its end.",
            )
        foreign = NotFoundError(
            f"The report of check {check_id[:8]} is of another release.",
            fix="Check the same rows again.",
        )
        return read_value(self._tracker, check_id, REPORT_FILE, DriftReport, foreign=foreign)

    def log(self, check_id: str, *, tail: int = 200) -> str:
        """Returns the last lines of a check's log; empty while it has written none."""
        check = self._records.get(check_id)
        return tail_of(check_folder(self._home, check.id) / LOG_FILE, tail)

    def cancel(self, check_id: str, *, actor: str) -> Check:
        """Ends a check and returns once its process is gone.

        Raises:
            NotFoundError: there is no such check.
            ConflictError: it has ended already.
            UnavailableError: Ray or MLflow does not answer, or the process does not end.
        """
        check = self.get(check_id)
        if not check.status.is_active:
            raise ConflictError(f"Check {check_id[:8]} has ended already: {check.status.value}.")
        end_job(self._cluster, _job_id(check), "check")
        tracked = self._tracker.get(check_id)
        if tracked.status is RunStatus.FINISHED:
            self._save(merged(check, tracked))
            raise ConflictError(f"Check {check_id[:8]} finished while it was being stopped.")
        return self._end(check, RunStatus.CANCELLED, f"cancelled by {actor}")

    def refresh(self) -> None:
        """Brings every active check up to date; a service that is down changes nothing."""
        for check in self._records.active():
            self._refreshed(check)

    def _refreshed(self, check: Check) -> Check:
        if not check.status.is_active:
            return check
        try:
            tracked = self._tracker.get(check.id)
        except NotFoundError:
            gone = _ended(check, RunStatus.FAILED, "The check was deleted in MLflow.")
            return self._save(gone)
        except UnavailableError as exc:
            LOG.info("check %s is not refreshed: %s", check.id, exc)
            return check
        current = merged(check, tracked)
        if tracked.status is RunStatus.RUNNING and self._is_lost(check):
            return self._end(current, RunStatus.FAILED, LOST)
        return self._save(current) if current != check else check

    def _is_lost(self, check: Check) -> bool:
        return is_lost(self._cluster, self._tracker, _job_id(check), check.id, check.started_at)

    def _end(self, check: Check, status: RunStatus, why: str) -> Check:
        ended = _ended(check, status, why)
        saved = self._save(ended)
        if saved == ended:
            self._tell_mlflow(ended, why)
        return saved

    def _save(self, check: Check) -> Check:
        """Whoever only follows a check does not overwrite what somebody decided meanwhile."""
        return check if self._records.save_active(check) else self._records.get(check.id)

    def _tell_mlflow(self, check: Check, why: str) -> None:
        try:
            self._tracker.finish(check.id, check.status, why)
        except PilothouseError as exc:
            LOG.warning("MLflow was not told that check %s ended: %s", check.id, exc)


def _job_id(check: Check) -> str:
    return f"{check.problem}-check-{check.id}"


def _command(spec: CheckSpec) -> str:
    return shlex.join([sys.executable, "-m", "core.monitoring.job", spec.model_dump_json()])


def _ended(check: Check, status: RunStatus, why: str) -> Check:
    return replace(check, status=status, ended_at=datetime.now(UTC), error=why)
