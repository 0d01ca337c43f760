"""Starts, watches and cancels checks."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path

from core.adapters.database_batches import BatchRecords
from core.adapters.database_checks import CheckRecords
from core.adapters.mlflow import KIND_CHECK, RunTracker
from core.adapters.ray import RayCluster
from core.deployment.metrics import metrics_folder
from core.domain import Batch, Progress, Promotion, RunStatus
from core.domain_watching import Check
from core.errors import (
    ConflictError,
    InvalidInputError,
    NotFoundError,
    PilothouseError,
    UnavailableError,
)
from core.monitoring.arrivals import require_window
from core.monitoring.gauges import CheckGauges
from core.monitoring.job_spec import LOG_FILE, REPORT_FILE, CheckSpec, check_folder, command_of
from core.monitoring.large_batches import session_for
from core.monitoring.outcome import merged
from core.monitoring.reference import nothing_in_production
from core.monitoring.report import DriftReport
from core.params import Params
from core.params_monitoring import MonitoringParams
from core.problems import require_problem
from core.promotion.act import Act
from core.promotion.audit import Action
from core.promotion.promotions import PromotionService
from core.promotion.trail import AuditTrail
from core.training.artifacts import read_value
from core.training.follower import JobFollower, JobRecords
from core.training.jobs import tail_of

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
        trail: AuditTrail,
    ) -> None:
        self._params = params
        self._problems = problems
        self._records = records
        self._batches = batches
        self._promotions = promotions
        self._tracker = tracker
        self._cluster = cluster
        self._home = home
        followed = JobRecords(
            what="check",
            get=records.get,
            active=records.active,
            save_active=records.save_active,
            job_id=_job_id,
            merged=merged,
        )
        self._follower = JobFollower(followed, tracker, cluster)
        self._trail = trail
        #: What Prometheus is told of the newest checks.
        self.gauges = CheckGauges(self, problems, metrics_folder(home))

    def start(
        self,
        problem: str,
        *,
        batch_id: str | None = None,
        window: str | None = None,
        domain_classifier: bool = False,
        actor: str,
    ) -> Check:
        """Starts a check of the version in production and returns it at once.

        Args:
            problem: one of the problems of ``params.yaml``.
            batch_id: a batch of the problem; without it, a window is checked.
            window: hours or rows of the inference log, such as ``24h`` or ``5000 rows``;
                ``None`` takes the one of ``params.yaml``.
            domain_classifier: whether one is trained, whatever ``params.yaml`` says.
            actor: who starts it.

        Raises:
            NotFoundError: no such problem or batch, or nothing is in production.
            InvalidInputError: both batch and window are given, or the window is not
                understood.
            ConflictError: the same rows are being checked.
            ResourceError: the batch needs Spark, and the cluster cannot give it.
            UnavailableError: Ray or MLflow does not answer.
        """
        with self._trail.act(
            Action.CHECK_STARTED, actor=actor, object=f"check of {problem}", problem=problem
        ) as act:
            asked = _monitoring(self._params.monitoring, domain_classifier)
            return self._begin(problem, batch_id, window, asked, act)

    def _begin(
        self,
        problem: str,
        batch_id: str | None,
        window: str | None,
        monitoring: MonitoringParams,
        act: Act,
    ) -> Check:
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
            window = require_window(window or monitoring.window)
        self._refuse_second(problem, batch_id, window)
        return self._start(production, batch, window, monitoring, act)

    def _start(
        self,
        production: Promotion,
        batch: Batch | None,
        window: str | None,
        monitoring: MonitoringParams,
        act: Act,
    ) -> Check:
        spark = None if batch is None else session_for(batch, self._params, self._cluster)
        problem, started_at = production.problem, datetime.now(UTC)
        subject = {"batch": batch.id} if batch is not None else {"window": window or ""}
        tags = {"problem": problem, "started_by": act.actor, **subject}
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
            started_by=act.actor,
            started_at=started_at,
            batch_id=None if batch is None else batch.id,
            window=window,
            data_at=started_at if batch is None else batch.added_at,
        )
        act.object = f"check {check.id}"
        told = f"v{check.version}, {' '.join(f'{name} {of}' for name, of in subject.items())}"
        if monitoring.drift.domain_classifier:
            told += ", with a domain classifier"
        try:
            self._records.add(check, act.done_with(told))
        except PilothouseError as exc:
            self._follower.tell_mlflow(check.id, RunStatus.CANCELLED, str(exc))
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
            monitoring=monitoring,
            spark=spark,
            earlier=self._earlier(check),
        )
        try:
            self._cluster.submit(_job_id(check), command_of(spec))
        except UnavailableError as exc:
            self._follower.end(check, RunStatus.FAILED, str(exc))
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
            if self._follower.refreshed(check).status.is_active:
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
        return self._follower.refreshed(self._records.get(check_id))

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
            UnavailableError: Ray does not answer, or the process does not end.
        """
        with self._trail.act(
            Action.CHECK_CANCELLED, actor=actor, object=f"check {check_id}"
        ) as act:
            act.problem = self._records.get(check_id).problem
            return self._follower.cancel(check_id, actor=actor, begun=act.done)

    def refresh(self) -> None:
        """Brings every active check up to date; a service that is down changes nothing."""
        self._follower.refresh()


def _monitoring(params: MonitoringParams, domain_classifier: bool) -> MonitoringParams:
    """What a check goes by: ``params.yaml``, and a domain classifier where one is asked for."""
    if not domain_classifier:
        return params
    drift = params.drift.model_copy(update={"domain_classifier": True})
    return params.model_copy(update={"drift": drift})


def _job_id(check: Check) -> str:
    return f"{check.problem}-check-{check.id}"
