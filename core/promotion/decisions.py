"""Decisions of people on promotion requests: approve, with four eyes, or reject."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from core.domain import Approval, GateResult, Promotion, PromotionRequest, RequestStatus
from core.errors import ConflictError, NotFoundError, RefusedError
from core.promotion.approval import (
    AT_ONCE,
    Fresh,
    Way,
    Yes,
    canary_of,
    is_due,
    promoted,
    promotion_of,
)
from core.promotion.audit import Action, AuditEntry, Outcome
from core.promotion.change import Change, Seen, closed_as, not_open
from core.promotion.desk import Desk
from core.promotion.four_eyes import Hands, objection, standing
from core.promotion.gates import hard_failures
from core.promotion.interruption import interrupt
from core.rollout.values import Rollout, RolloutKind
from core.wording import share as percent


@dataclass(frozen=True)
class Decided:
    """What an approval has come to."""

    request: PromotionRequest
    #: ``None`` while others still have to approve.
    promotion: Promotion | None
    #: Who has said yes so far, oldest first.
    approvals: tuple[Approval, ...]
    #: How many people are still asked for.
    missing: int
    #: Whether four eyes are in force, in words.
    four_eyes: str
    #: The canary that carries it out in steps; ``None`` where it takes over at once.
    rollout: Rollout | None = None


class Decisions:
    """Closes promotion requests."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    @property
    def required(self) -> int:
        """How many people have to approve; where nobody can be told apart it is one."""
        told_apart = self._desk.identities.told_apart
        return self._desk.params.approvals_required if told_apart else 1

    def approve(self, request_id: str, *, reason: str, actor: str, way: Way = AT_ONCE) -> Decided:
        """Says yes to a request; the last yes that it needs makes its version Production.

        With steps it begins to answer a share of the requests, and becomes Production when it
        comes to all of them.

        Raises:
            NotFoundError: no such request.
            InvalidInputError: the reason is too short.
            RefusedError: the actor may not approve it, a hard gate fails, or the error budget
                holds rollouts.
            ConflictError: somebody has decided it, it has become stale, the actor has
                approved it already, or another version rolls out.
            UnavailableError: a service that has to be asked does not answer; nothing is
                decided.
        """
        self._desk.require_reason(reason)
        with self._desk.carrier.turn():
            request = self._desk.records.request(request_id)
            if request.status is not RequestStatus.OPEN:
                raise not_open(request)
            self._require_allowed(request, actor, reason)
            way = self._allowed_way(request, way, actor, reason)
            incumbent = self._desk.records.production(request.problem)
            fresh = self._fresh(request, incumbent, actor)
            self._require_passable(request, fresh.gates, actor, reason)
            return self._approved(request, incumbent, fresh, Yes(actor, reason, way))

    def reject(self, request_id: str, *, reason: str, actor: str) -> PromotionRequest:
        """Closes a request; the version stays registered and does not serve.

        Raises:
            NotFoundError: no such request.
            InvalidInputError: the reason is too short.
            ConflictError: somebody has decided it.
        """
        self._desk.require_reason(reason)
        with self._desk.carrier.turn():
            request = self._desk.records.request(request_id)
            if request.status is not RequestStatus.OPEN:
                raise not_open(request)
            decided = closed_as(request, RequestStatus.REJECTED, reason, actor)
            entry = self._entry(Action.REQUEST_REJECTED, request, actor, reason)
            self._desk.carrier.decide(Change(request.problem, (entry,), closed=(decided,)))
        return decided

    def objection(self, request: PromotionRequest, actor: str) -> str:
        """Why an actor may not approve a request, as one sentence; empty if nothing is."""
        started_by = self._desk.database.run(request.run_id).started_by
        hands = Hands(started_by, request.requested_by)
        identities = self._desk.identities
        return objection(
            actor,
            hands,
            told_apart=identities.told_apart,
            token_known_to=identities.token_known_to(actor),
        )

    def _require_allowed(self, request: PromotionRequest, actor: str, reason: str) -> None:
        said = self.objection(request, actor)
        if said:
            self._refuse(request, actor, reason, said)

    def _allowed_way(self, request: PromotionRequest, way: Way, actor: str, reason: str) -> Way:
        """The way without a word on a budget that is not spent."""
        active = self._desk.rollouts.active(request.problem)
        if active is not None and active.kind is RolloutKind.CANARY:
            raise ConflictError(
                f"{request.problem} v{active.version} is rolling out.",
                fix=f"Let it end, or stop it: `pilothouse rollout stop {request.problem}`.",
            )
        said = self._desk.budget_spent(request.problem) if way.steps else ""
        if said and way.despite_budget:
            self._desk.require_reason(way.despite_budget)
        elif said:
            self._refuse(request, actor, reason, f"{said} New rollouts are held.")
        return way if said else replace(way, despite_budget="")

    def _require_passable(
        self, request: PromotionRequest, gates: tuple[GateResult, ...], actor: str, reason: str
    ) -> None:
        failures = hard_failures(gates)
        if failures:
            named = ", ".join(gate.gate for gate in failures)
            self._refuse(request, actor, reason, f"Hard gates cannot be passed over: {named}.")

    def _refuse(self, request: PromotionRequest, actor: str, reason: str, said: str) -> None:
        entry = self._entry(Action.DECISION_REFUSED, request, actor, reason, said)
        refused = replace(entry, outcome=Outcome.REFUSED)
        self._desk.records.decide(Change(request.problem, (refused,)))
        raise RefusedError(said)

    def _fresh(self, request: PromotionRequest, incumbent: Promotion | None, actor: str) -> Fresh:
        """What the frozen evidence says, if it still tells of what there is."""
        try:
            if incumbent is None or incumbent.version != request.incumbent_version:
                now = f"v{incumbent.version}" if incumbent else "nothing"
                raise ConflictError(f"Another version went live since it was opened: {now}.")
            found = self._desk.registry.get(request.problem, request.version)
            evidence = self._desk.evidence.verify(request)
            return Fresh(evidence.gates, found.source, evidence.candidate.bundle_sha256)
        except (ConflictError, NotFoundError) as exc:
            stale = closed_as(request, RequestStatus.STALE, exc.message, actor)
            entry = self._entry(Action.REQUEST_STALE, request, actor, "", exc.message)
            self._desk.carrier.decide(Change(request.problem, (entry,), closed=(stale,)))
            raise ConflictError(
                f"Request {request.id} cannot be approved and is stale now. {exc.message}",
                fix=f"Ask anew: `pilothouse promote request {request.problem} {request.version}`.",
            ) from exc

    def _approved(
        self,
        request: PromotionRequest,
        incumbent: Promotion | None,
        fresh: Fresh,
        yes: Yes,
    ) -> Decided:
        now, actor, reason = datetime.now(UTC), yes.actor, yes.reason
        given = self._desk.records.approvals(request.id)
        if actor in {one.approved_by for one in given}:
            raise ConflictError(
                f"{actor} has approved this request already.", fix="Somebody else has to as well."
            )
        approval = Approval(request.id, actor, now, reason)
        missing = self.required - len(given) - 1
        four_eyes = standing(self._desk.identities.told_apart)
        entries = [self._entry(Action.APPROVAL_GIVEN, request, actor, reason)]
        seen = Seen(incumbent.id if incumbent else None, len(given))
        change = Change(request.problem, tuple(entries), seen, approval=approval)
        rollout = None
        if missing <= 0:
            status = RequestStatus.ROLLING_OUT if yes.way.steps else RequestStatus.APPROVED
            request = closed_as(request, status, reason, actor, now)
            promotion = promotion_of(request, four_eyes, fresh)
            rollout = canary_of(request, promotion, yes.way, now) if yes.way.steps else None
            change = self._last_yes(change, request, promotion, rollout, yes)
        self._desk.carrier.decide(change)
        every = (*given, approval)
        return Decided(request, change.promotion, every, max(missing, 0), four_eyes, rollout)

    def _last_yes(
        self,
        change: Change,
        request: PromotionRequest,
        promotion: Promotion,
        rollout: Rollout | None,
        yes: Yes,
    ) -> Change:
        """What the last approval brings: the promotion, or the canary that leads to it."""
        why = f"v{request.version} {'rolls out' if rollout else 'becomes Production'}."
        stopped = interrupt(self._desk, request.problem, why, actor=yes.actor)
        told = [self._told(promotion, request)] if is_due(rollout) else []
        if rollout is not None:
            told.insert(0, self._told_start(rollout, request, yes.way))
        return replace(
            change,
            entries=(*change.entries, *stopped.entries, *told),
            closed=(request,),
            promotion=promotion if is_due(rollout) else None,
            rollouts=(*stopped.rollouts, *([rollout] if rollout else [])),
        )

    def _told(self, promotion: Promotion, request: PromotionRequest) -> AuditEntry:
        return promoted(self._desk, promotion, request.incumbent_version)

    def _told_start(self, rollout: Rollout, request: PromotionRequest, way: Way) -> AuditEntry:
        shares = ", ".join(percent(share) for share in rollout.shares)
        said = f"Beside v{rollout.incumbent_version}, in steps of {shares} of the requests."
        if way.despite_budget:
            said += f" Although the error budget is spent: {way.despite_budget}"
        by, reason = rollout.started_by, rollout.reason
        return self._entry(Action.ROLLOUT_STARTED, request, by, reason, said)

    def _entry(
        self,
        action: Action,
        request: PromotionRequest,
        actor: str,
        reason: str,
        detail: str = "",
    ) -> AuditEntry:
        return self._desk.entry(
            action,
            request.problem,
            request.version,
            actor=actor,
            reason=reason,
            request_id=request.id,
            detail=detail,
        )
