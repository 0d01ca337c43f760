"""Retrains: asks the policy, starts the run it wants, and says what became of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from core.adapters.database import Database
from core.adapters.database_alerts import AlertRecords
from core.adapters.mlflow import RunTracker
from core.domain import Run, RunStatus
from core.domain_watching import Alert, AlertKind, Check
from core.errors import NotFoundError
from core.monitoring.ports import Batches, Checks
from core.monitoring.retraining import (
    RetrainDecision,
    Seen,
    Situation,
    Speaks,
    decide,
    seen_by,
)
from core.params_alerts import RetrainingParams
from core.problems import require_problem
from core.promotion.identity import RETRAINER
from core.promotion.promotions import PromotionService
from core.training.runs import CAUSE, RunService
from core.training.tracking import learned_rows

LOG = logging.getLogger(__name__)
#: Kinds of alerts that a retrain may answer; bad data it does not.
ANSWERED = (AlertKind.DRIFT, AlertKind.ESTIMATED_LOSS, AlertKind.REALIZED_LOSS)
#: How often the policy is asked between checks: labels arrive and times come.
EVERY = timedelta(seconds=30)
#: Problem and batch id -> labelled rows that may be learned from.
TrainableRows = Callable[[str, str], int]
MOST_RUNS = 1000
MOST_BATCHES = 10_000


@dataclass(frozen=True)
class Retrain:
    """What the policy says, and the run that it has started."""

    decision: RetrainDecision
    run: Run | None = None


class RetrainingService:
    """Retrains of every problem."""

    def __init__(
        self,
        policy: RetrainingParams,
        problems: Collection[str],
        database: Database,
        alerts: AlertRecords,
        tracker: RunTracker,
        runs: RunService,
        promotions: PromotionService,
        checks: Checks,
        batches: Batches,
        trainable_rows: TrainableRows,
    ) -> None:
        self._policy = policy
        self._problems = problems
        self._database = database
        self._alerts = alerts
        self._tracker = tracker
        self._runs = runs
        self._promotions = promotions
        self._checks = checks
        self._batches = batches
        self._trainable_rows = trainable_rows
        self._asked: dict[str, datetime] = {}
        #: By check: its report does not change and is far away.
        self._seen: dict[str, Seen] = {}

    def decide(self, problem: str, now: datetime) -> RetrainDecision:
        """What the policy says of a problem, with every reason; starts nothing.

        Raises:
            NotFoundError: no such problem.
            UnavailableError: a service that has to be asked does not answer.
        """
        require_problem(problem, self._problems)
        return decide(self._policy, self._counted(self._situation(problem, now), problem)[0])

    def retrain(self, problem: str, now: datetime, *, asked_by: str = RETRAINER) -> Retrain:
        """Starts a run if the policy wants one now.

        The alerts that it may answer are told of the run. It may be asked at any time: what
        a process that died has left undone is completed. Whoever asks, it is the policy that
        starts the run.

        Raises:
            ForbiddenError: whoever asks may not start runs.
            ConflictError: another run was started at the same moment.
            ResourceError: the cluster cannot give the default profile.
            UnavailableError: a service that has to be asked does not answer.
        """
        self._runs.require_starter(asked_by, problem)
        last = self._last_retrain(problem)
        if last is not None:
            self._tell_alerts(last)
        situation = self._situation(problem, now)
        decision = decide(self._policy, situation)
        if not decision.retrain and self._policy.new_labelled_rows is None:
            # Nothing to gain from counting labels, which means reading the batches.
            return Retrain(decision)
        situation, rows = self._counted(situation, problem)
        decision = decide(self._policy, situation)
        if not decision.retrain:
            return Retrain(decision)
        why = " ".join(reason.text for reason in decision.of(Speaks.FOR))
        check = {"check": situation.seen.check_id} if situation.seen else {}
        told = ", ".join(alert.id for alert in self._answerable(problem))
        run = self._runs.start(
            problem,
            profile=None,
            overrides={},
            actor=RETRAINER,
            batches=tuple(rows),
            cause={CAUSE: why, "alerts": told, **check},
        )
        LOG.info("retrain %s of %s: %s", run.id, problem, why)
        self._tell_alerts(run)
        return Retrain(decision, run)

    def retrain_due(self, problem: str, now: datetime) -> None:
        """As ``retrain``, but at most every half a minute.

        Raises:
            PilothouseError: as ``retrain``.
        """
        if now - self._asked.get(problem, now - EVERY) >= EVERY:
            self._asked[problem] = now
            self.retrain(problem, now)

    def _situation(self, problem: str, now: datetime) -> Situation:
        promotion = self._promotions.production(problem)
        active = [run for run in self._database.active_runs() if run.problem == problem]
        last = self._last_retrain(problem)
        return Situation(
            now=now,
            version=promotion.version if promotion else None,
            version_since=promotion.since if promotion else None,
            seen=self._see(problem),
            new_labelled_rows=None,
            active_run=active[0].id if active else None,
            last_retrain_at=last.started_at if last else None,
        )

    def _see(self, problem: str) -> Seen | None:
        """What was seen of the newest data, with the loss on the newest labelled data.

        Labels are late, so the two are seldom of one check.
        """
        finished = [c for c in self._checks.list(problem) if c.status is RunStatus.FINISHED]
        if not finished:
            return None
        newest = max(finished, key=_by_arrival)
        labelled = [
            check
            for check in finished
            if AlertKind.REALIZED_LOSS in check.told and check.version == newest.version
        ]
        seen = self._look_at(newest)
        if not labelled:
            return seen
        told = self._look_at(max(labelled, key=_by_arrival))
        return replace(
            seen,
            realized_loss=told.realized_loss,
            realized_level=told.realized_level,
        )

    def _look_at(self, check: Check) -> Seen:
        if check.id not in self._seen:
            self._seen[check.id] = seen_by(check.id, self._checks.report(check.id))
        return self._seen[check.id]

    def _counted(self, situation: Situation, problem: str) -> tuple[Situation, Mapping[str, int]]:
        """The situation with labels counted, and the rows of each batch that has some."""
        oldest_first = sorted(
            self._batches.list(problem, MOST_BATCHES), key=lambda batch: (batch.added_at, batch.id)
        )
        counted = {batch.id: self._trainable_rows(problem, batch.id) for batch in oldest_first}
        rows = {batch_id: count for batch_id, count in counted.items() if count}
        used = self._used(problem)
        new = sum(max(0, count - used.get(batch_id, 0)) for batch_id, count in rows.items())
        return replace(situation, new_labelled_rows=new), rows

    def _used(self, problem: str) -> Mapping[str, int]:
        """Rows of each batch that the last retrain has learned from."""
        ended = (RunStatus.FAILED, RunStatus.CANCELLED)
        good = [run for run in self._retrains(problem) if run.status not in ended]
        if not good:
            return {}
        try:
            return learned_rows(self._tracker, good[0].id)
        except NotFoundError:  # it had none, or has not read them yet
            return {}

    def _retrains(self, problem: str) -> tuple[Run, ...]:
        runs = self._database.runs(problem, MOST_RUNS)
        return tuple(run for run in runs if run.started_by == RETRAINER)

    def _last_retrain(self, problem: str) -> Run | None:
        found = self._retrains(problem)
        return found[0] if found else None

    def _answerable(self, problem: str) -> tuple[Alert, ...]:
        found = self._alerts.list(problem, open_only=True)
        return tuple(alert for alert in found if alert.kind in ANSWERED)

    def _tell_alerts(self, run: Run) -> None:
        untold = [
            alert.id
            for alert in self._answerable(run.problem)
            if alert.raised_at <= run.started_at and alert.run_id != run.id
        ]
        if untold:
            self._alerts.link_run(untold, run.id)

    def tell_outcomes(self) -> None:
        """Writes on alerts what became of the runs that answered them.

        Raises:
            UnavailableError: MLflow does not answer.
        """
        waiting = {run.id for run in self._database.unconsidered_runs()}
        for alert in self._alerts.awaiting_outcome():
            if alert.run_id is not None and alert.run_id not in waiting:
                outcome = self._outcome(alert.run_id)
                if outcome:
                    self._alerts.note_outcome(alert.id, alert.run_id, outcome)

    def _outcome(self, run_id: str) -> str:
        """What became of a run in one sentence; empty while it goes on.

        It is written once, and read when a person has long decided about the version.
        """
        run = self._database.run(run_id)
        if run.status.is_active:
            return ""
        if run.status is not RunStatus.FINISHED or run.model_version is None:
            return f"Run {run_id[:8]} {run.status.value}: {run.error or 'it left no version'}"
        name = f"v{run.model_version}"
        try:
            tags = self._promotions.version(run.problem, run.model_version).tags
        except NotFoundError:
            return f"{name} was deleted from the registry."
        gates = tags.get("gates", "")
        match tags.get("promotion_state", ""):
            case "staging":
                return f"{name} asked for approval: {gates}."
            case "kept out":
                return f"{name} was kept out: {gates}."
            case "" | "registered":
                # It was considered, and the registry does not show it yet.
                return ""
            case state:
                return f"{name} is {state}."


def _by_arrival(check: Check) -> tuple[datetime, datetime]:
    """Checks of the same data are in the order in which they were started."""
    return check.arrived_at, check.started_at
