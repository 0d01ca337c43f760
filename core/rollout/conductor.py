"""What the worker does for rollouts: takes each canary on, or back, by what was measured."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from core.monitoring.alerting import Finding, rolled_back
from core.promotion.approval import APPROVAL, promoted
from core.promotion.audit import Action, Outcome
from core.promotion.change import Change, Seen
from core.promotion.desk import Desk
from core.promotion.identity import WORKER
from core.promotion.interruption import settled_with
from core.promotion.shown import AUTOMATIC_ROLLBACK
from core.rollout.changes import advanced, ended, promotion_due, restarted
from core.rollout.deciding import decide
from core.rollout.ending import entry_of, taken_back
from core.rollout.estimates import read_estimates
from core.rollout.measuring import measures_of
from core.rollout.notes import read_notes, rollouts_folder
from core.rollout.steps import Estimates, Move, StepDecision
from core.rollout.values import Rollout, RolloutKind, RolloutStatus
from core.wording import share as percent

LOG = logging.getLogger(__name__)
#: A version that cannot be loaded is tried again by replicas; after so long it goes back.
LOAD_PATIENCE = timedelta(seconds=15)
#: Rollouts of a problem among which the last to change is looked for.
NEWEST = 20


class Alerts(Protocol):
    """Who raises and closes alerts."""

    def act_on(self, finding: Finding) -> None:
        """Raises and closes by a finding; found twice, it is told once."""


class Estimator(Protocol):
    """Who estimates the performance of both versions."""

    def latest(self, rollout: Rollout, now: datetime) -> Estimates | None:
        """The newest estimates of the step that a canary is in, made anew where they are old."""


class Conductor:
    """A duty of the worker. All but how long a load has failed lies in the database and files."""

    def __init__(
        self,
        desk: Desk,
        estimator: Estimator,
        alerts: Alerts,
        home: Path,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._desk = desk
        self._estimator = estimator
        self._alerts = alerts
        self._folder = rollouts_folder(home)
        self._clock = clock
        #: Rollout -> since when replicas have said that they cannot load its version.
        self._unloadable: dict[str, datetime] = {}
        #: Problem -> the rollout that alerts have last heard of, how it stood, and whether it was
        #: followed by an approval.
        self._told: dict[str, tuple[str, RolloutStatus, bool]] = {}

    def run(self, problems: Iterable[str]) -> None:
        """Looks at each canary once, and tells alerts of those that went back.

        Raises:
            Exception: whatever the first has failed of; the other problems were looked at.
        """
        failures: list[Exception] = []
        for problem in problems:
            try:
                self._look(problem)
                self._tell(problem)
            except Exception as exc:  # noqa: BLE001 - no problem keeps the guards of another waiting
                failures.append(exc)
        if failures:
            raise failures[0]

    def estimate(self, problems: Iterable[str]) -> None:
        """Estimates anew what canaries are worth, where the last estimate is old.

        It may take seconds, which a guard that fails does not wait for: call it from another
        thread than ``run``.

        Raises:
            UnavailableError: the database does not answer.
        """
        for problem in problems:
            active = self._desk.rollouts.active(problem)
            if active is not None and active.kind is RolloutKind.CANARY:
                self._estimator.latest(active, self._clock())

    def _look(self, problem: str) -> None:
        active = self._desk.rollouts.active(problem)
        if active is None or active.kind is not RolloutKind.CANARY:
            return
        with self._desk.carrier.free_turn() as mine:
            rollout = self._desk.rollouts.active(problem)
            if not mine or rollout is None or rollout.id != active.id:
                return
            now = self._clock()
            notes = read_notes(self._folder, rollout.id, 0)
            estimates = read_estimates(self._folder, rollout.id)
            measures = measures_of(rollout, notes, estimates)
            if measures.failure and not self._has_failed_long(rollout, now):
                return
            if not measures.failure:
                self._unloadable.pop(rollout.id, None)
            self._act(rollout, decide(self._desk.rollout.canary, rollout, measures, now), now)

    def _has_failed_long(self, rollout: Rollout, now: datetime) -> bool:
        since = self._unloadable.setdefault(rollout.id, now)
        return now - since >= LOAD_PATIENCE

    def _act(self, rollout: Rollout, decision: StepDecision, now: datetime) -> None:
        if decision.move is Move.ADVANCE:
            self._advance(rollout, decision, now)
        elif decision.move is Move.FINISH:
            self._finish(rollout, decision, now)
        elif decision.move is Move.ROLL_BACK:
            self._roll_back(rollout, decision, now)
        elif decision.restart_clock:
            moved = restarted(rollout, now)
            self._desk.carrier.decide(Change(rollout.problem, (), rollouts=(moved,)))

    def _advance(self, rollout: Rollout, decision: StepDecision, now: datetime) -> None:
        moved = advanced(rollout, now)
        way = f"From {percent(rollout.share)} to {percent(moved.share)} of the requests."
        said = f"{way} {decision.reason}"
        entry = entry_of(
            self._desk, Action.ROLLOUT_ADVANCED, moved, actor=WORKER, detail=said.strip()
        )
        promotion = promotion_due(moved)
        entries, seen = [entry], None
        if promotion is not None:
            current = self._desk.records.production(rollout.problem)
            entries.append(promoted(self._desk, promotion, rollout.incumbent_version))
            seen = Seen(current.id if current else None)
        self._desk.carrier.decide(
            Change(rollout.problem, tuple(entries), seen, promotion=promotion, rollouts=(moved,))
        )
        LOG.info("%s v%d: %s", rollout.problem, rollout.version, said)

    def _finish(self, rollout: Rollout, decision: StepDecision, now: datetime) -> None:
        over = ended(rollout, RolloutStatus.DONE, WORKER, decision.reason, now)
        entry = entry_of(
            self._desk, Action.ROLLOUT_DONE, over, actor=WORKER, detail=decision.reason
        )
        self._desk.carrier.decide(
            Change(
                rollout.problem, (entry,), settled=settled_with(self._desk, over), rollouts=(over,)
            )
        )

    def _roll_back(self, rollout: Rollout, decision: StepDecision, now: datetime) -> None:
        over = ended(rollout, RolloutStatus.ROLLED_BACK, WORKER, decision.reason, now)
        entry = entry_of(
            self._desk,
            Action.ROLLOUT_ENDED,
            over,
            actor=WORKER,
            reason=decision.reason,
            detail=f"At {percent(rollout.share)} of the requests.",
            outcome=Outcome.FAILED,
        )
        self._desk.carrier.decide(taken_back(self._desk, over, entry, AUTOMATIC_ROLLBACK))
        self._alert(over)
        LOG.warning("%s v%d goes back: %s", rollout.problem, rollout.version, decision.reason)

    def _tell(self, problem: str) -> None:
        """Tells alerts of the rollout that has begun or ended last, once each time it changes."""
        found = self._desk.rollouts.list(problem, NEWEST)
        newest = max(found, key=lambda one: one.ended_at or one.started_at, default=None)
        if newest is None:
            return
        is_past = self._was_followed(newest)
        if self._told.get(problem) != (newest.id, newest.status, is_past):
            self._alert(newest, is_past=is_past)

    def _was_followed(self, rollout: Rollout) -> bool:
        """Whether something was approved since it was taken back."""
        current = self._desk.records.production(rollout.problem)
        if current is None or rollout.ended_at is None:
            return False
        return current.rule == APPROVAL and current.since > rollout.ended_at

    def _alert(self, rollout: Rollout, *, is_past: bool = False) -> None:
        self._alerts.act_on(rolled_back(rollout, self._clock(), is_past=is_past))
        self._told[rollout.problem] = (rollout.id, rollout.status, is_past)
