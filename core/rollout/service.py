"""Rollouts as people see and steer them: start a shadow, hold, continue, stop."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from core.domain import ModelVersion
from core.errors import ConflictError, InvalidInputError, Offence, RefusedError
from core.promotion.audit import Action
from core.promotion.change import Change, Seen
from core.promotion.desk import Desk, new_id
from core.promotion.shown import ROLLBACK
from core.rollout.changes import ended, held, resumed
from core.rollout.deciding import decide
from core.rollout.ending import entry_of, taken_back
from core.rollout.estimates import read_estimates
from core.rollout.measuring import measures_of
from core.rollout.notes import read_notes, rollouts_folder, said_of_shadow
from core.rollout.values import Rollout, RolloutKind, RolloutStatus
from core.rollout.view import RolloutView
from core.wording import share as percent


class RolloutService:
    """Shadows and canaries of every problem."""

    def __init__(
        self, desk: Desk, home: Path, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._desk = desk
        self._folder = rollouts_folder(home)
        self._clock = clock

    def active(self, problem: str) -> Rollout | None:
        """The rollout of a problem that replicas take part in; ``None`` where there is none."""
        return self._desk.rollouts.active(problem)

    def list(self, problem: str | None = None, limit: int | None = None) -> tuple[Rollout, ...]:
        """Rollouts, newest first; all of them without a limit."""
        return self._desk.rollouts.list(problem, limit)

    def get(self, rollout_id: str) -> Rollout:
        """Reads one rollout.

        Raises:
            NotFoundError: there is no such rollout.
        """
        return self._desk.rollouts.get(rollout_id)

    def view(self, rollout: Rollout) -> RolloutView:
        """What was measured of a rollout and, of a canary on its way, what follows."""
        notes = read_notes(self._folder, rollout.id, self._desk.rollout.shadow.examples)
        if rollout.kind is RolloutKind.SHADOW:
            return RolloutView(rollout, notes)
        estimates = read_estimates(self._folder, rollout.id)
        measures = measures_of(rollout, notes, estimates)
        decision = None
        if rollout.status.is_active:
            decision = decide(self._desk.rollout.canary, rollout, measures, self._clock())
        return RolloutView(rollout, notes, decision, measures.estimates)

    def shadows(
        self, problem: str, version: int, before: datetime | None = None
    ) -> tuple[RolloutView, ...]:
        """How a version has done in the shadow, newest first.

        With ``before`` those alone that began before that moment, such as a decision.
        """
        return tuple(
            self.view(one)
            for one in self.list(problem)
            if one.kind is RolloutKind.SHADOW
            and one.version == version
            and (before is None or one.started_at < before)
        )

    def start_shadow(
        self,
        problem: str,
        version: int,
        *,
        actor: str,
        reason: str,
        share: float | None = None,
        despite_budget: str = "",
    ) -> Rollout:
        """Lets a registered version score live requests too; nobody gets its answers.

        Args:
            problem: whose model.
            version: of the registry.
            actor: who starts it.
            reason: why.
            share: of the requests, above 0 up to 1; ``None`` for that of ``params.yaml``.
            despite_budget: why it may although the error budget is spent.

        Raises:
            InvalidInputError: a reason is too short.
            NotFoundError: the registry does not have the version.
            ConflictError: it is Production, nothing is, or another rollout is active.
            RefusedError: the actor may not, or the error budget holds rollouts.
            UnavailableError: a service that has to be asked does not answer.
        """
        self._require(Action.SHADOW_STARTED, actor, f"{problem} v{version}", problem)
        self._desk.require_reason(reason)
        with self._desk.carrier.turn():
            incumbent = self._desk.records.production(problem)
            if incumbent is None or incumbent.version == version:
                what = "is Production" if incumbent else "has nothing in Production beside it"
                raise ConflictError(f"{problem} v{version} {what}: there is nothing to compare.")
            self._require_free(problem)
            said = self._desk.budget_spent(problem)
            if said and not despite_budget.strip():
                raise RefusedError(
                    f"{said} New rollouts are held.", fix="Say why it may start all the same."
                )
            if said:
                self._desk.require_reason(despite_budget)
            found = self._desk.registry.get(problem, version)
            least = share if share is not None else self._desk.rollout.shadow.share
            rollout = self._shadow(found, incumbent.version, least, actor, reason.strip())
            detail = f"{percent(rollout.share)} of the requests, beside v{incumbent.version}."
            if said:
                detail += f" Although the error budget is spent: {despite_budget.strip()}"
            entry = entry_of(
                self._desk,
                Action.SHADOW_STARTED,
                rollout,
                actor=actor,
                reason=reason,
                detail=detail,
            )
            seen = Seen(incumbent.id)
            self._desk.carrier.decide(Change(problem, (entry,), seen, rollouts=(rollout,)))
        return rollout

    def _shadow(
        self, found: ModelVersion, incumbent_version: int, share: float, actor: str, reason: str
    ) -> Rollout:
        if not 0.0 < share <= 1.0:
            raise InvalidInputError(
                "A shadow scores a share above 0 and up to 1.",
                offences=[Offence("share", "must be above 0 and up to 1")],
            )
        now = self._clock()
        return Rollout(
            id=new_id(),
            problem=found.problem,
            kind=RolloutKind.SHADOW,
            version=found.version,
            run_id=found.run_id,
            incumbent_version=incumbent_version,
            status=RolloutStatus.RUNNING,
            shares=(share,),
            step=0,
            step_since=now,
            started_by=actor,
            started_at=now,
            reason=reason,
            source=found.source,
            bundle_sha256=self._desk.evidence.bundle_sha256(found),
        )

    def hold(self, problem: str, *, actor: str, reason: str) -> Rollout:
        """Keeps a canary in its step until somebody lets it go on; guards still watch.

        Raises:
            InvalidInputError: the reason is too short.
            ConflictError: no canary is active, or it is held.
            RefusedError: the actor may not.
        """
        self._require(Action.ROLLOUT_HELD, actor, f"rollout of {problem}", problem)
        self._desk.require_reason(reason)
        with self._desk.carrier.turn():
            rollout = self._canary(problem)
            if rollout.status is RolloutStatus.HELD:
                raise ConflictError(f"The rollout of {problem} is held: {rollout.held_because}")
            because = f"{actor} holds it: {reason.strip()}"
            return self._change(held(rollout, because), Action.ROLLOUT_HELD, actor, reason)

    def resume(self, problem: str, *, actor: str, reason: str) -> Rollout:
        """Lets a canary that is held go on.

        Raises:
            InvalidInputError: the reason is too short.
            ConflictError: no canary is active, or it is not held.
            RefusedError: the actor may not.
        """
        self._require(Action.ROLLOUT_CONTINUED, actor, f"rollout of {problem}", problem)
        self._desk.require_reason(reason)
        with self._desk.carrier.turn():
            rollout = self._canary(problem)
            if rollout.status is not RolloutStatus.HELD:
                raise ConflictError(f"The rollout of {problem} is not held.")
            return self._change(resumed(rollout), Action.ROLLOUT_CONTINUED, actor, reason)

    def stop(self, problem: str, *, actor: str, reason: str) -> Rollout:
        """Ends a shadow, or a canary: the version before answers all requests again.

        Raises:
            InvalidInputError: the reason is too short.
            NotFoundError: a canary is Production and the version before is not in the registry.
            ConflictError: no rollout is active.
            RefusedError: the actor may not.
        """
        self._require(Action.ROLLOUT_STOPPED, actor, f"rollout of {problem}", problem)
        self._desk.require_reason(reason)
        with self._desk.carrier.turn():
            rollout = self._active(problem)
            over = ended(rollout, RolloutStatus.STOPPED, actor, reason.strip(), self._clock())
            entry = entry_of(
                self._desk,
                Action.ROLLOUT_STOPPED,
                over,
                actor=actor,
                reason=reason,
                detail=self._result(over),
            )
            self._desk.carrier.decide(taken_back(self._desk, over, entry, ROLLBACK))
        return over

    def _change(self, rollout: Rollout, action: Action, actor: str, reason: str) -> Rollout:
        detail = f"At {percent(rollout.share)} of the requests."
        entry = entry_of(self._desk, action, rollout, actor=actor, reason=reason, detail=detail)
        self._desk.carrier.decide(Change(rollout.problem, (entry,), rollouts=(rollout,)))
        return rollout

    def _result(self, rollout: Rollout) -> str:
        if rollout.kind is RolloutKind.SHADOW:
            return said_of_shadow(self.view(rollout).notes.shadow)
        return f"It had come to {percent(rollout.share)} of the requests."

    def _require_free(self, problem: str) -> None:
        active = self._desk.rollouts.active(problem)
        if active is not None:
            raise ConflictError(
                f"A {active.kind.value} of {problem} v{active.version} is active.",
                fix=f"Stop it first: `pilothouse rollout stop {problem}`.",
            )

    def _active(self, problem: str) -> Rollout:
        active = self._desk.rollouts.active(problem)
        if active is None:
            raise ConflictError(f"No rollout of {problem} is active.")
        return active

    def _canary(self, problem: str) -> Rollout:
        rollout = self._active(problem)
        if rollout.kind is not RolloutKind.CANARY:
            raise ConflictError(f"The active rollout of {problem} is a shadow, which has no steps.")
        return rollout

    def _require(self, action: Action, actor: str, object: str, problem: str) -> None:
        self._desk.trail.require(action, actor=actor, object=object, problem=problem)
