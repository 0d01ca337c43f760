"""Decisions of people on promotion requests: approve, with four eyes, or reject."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from core.domain import Approval, GateResult, Promotion, PromotionRequest, RequestStatus
from core.errors import ConflictError, NotFoundError, RefusedError
from core.promotion.audit import Action, AuditEntry, Outcome
from core.promotion.change import Change, Seen, closed_as, not_open
from core.promotion.desk import Desk, new_id
from core.promotion.four_eyes import Hands, objection, standing
from core.promotion.gates import hard_failures, soft_reservations

APPROVAL = "approval"


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


class Decisions:
    """Closes promotion requests."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    @property
    def required(self) -> int:
        """How many people have to approve; where nobody can be told apart it is one."""
        told_apart = self._desk.identities.told_apart
        return self._desk.params.approvals_required if told_apart else 1

    def approve(self, request_id: str, *, reason: str, actor: str) -> Decided:
        """Says yes to a request; the last yes that it needs makes its version Production.

        Raises:
            NotFoundError: no such request.
            InvalidInputError: the reason is too short.
            RefusedError: the actor may not approve it, or a hard gate fails.
            ConflictError: somebody has decided it, it has become stale, or the actor has
                approved it already.
            UnavailableError: a service that has to be asked does not answer; nothing is
                decided.
        """
        self._desk.require_reason(reason)
        with self._desk.carrier.turn():
            request = self._desk.records.request(request_id)
            if request.status is not RequestStatus.OPEN:
                raise not_open(request)
            self._require_allowed(request, actor, reason)
            incumbent = self._desk.records.production(request.problem)
            gates = self._fresh_gates(request, incumbent, actor)
            self._require_passable(request, gates, actor, reason)
            return self._approved(request, incumbent, gates, actor, reason)

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

    def _fresh_gates(
        self, request: PromotionRequest, incumbent: Promotion | None, actor: str
    ) -> tuple[GateResult, ...]:
        """The gates of the frozen evidence, if it still tells of what there is."""
        try:
            if incumbent is None or incumbent.version != request.incumbent_version:
                now = f"v{incumbent.version}" if incumbent else "nothing"
                raise ConflictError(f"Another version went live since it was opened: {now}.")
            self._desk.registry.get(request.problem, request.version)
            return self._desk.evidence.read(request).gates
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
        gates: tuple[GateResult, ...],
        actor: str,
        reason: str,
    ) -> Decided:
        now = datetime.now(UTC)
        given = self._desk.records.approvals(request.id)
        if actor in {one.approved_by for one in given}:
            raise ConflictError(
                f"{actor} has approved this request already.", fix="Somebody else has to as well."
            )
        approval = Approval(request.id, actor, now, reason)
        missing = self.required - len(given) - 1
        four_eyes = standing(self._desk.identities.told_apart)
        entries = [self._entry(Action.APPROVAL_GIVEN, request, actor, reason)]
        closed: tuple[PromotionRequest, ...] = ()
        promotion = None
        if missing <= 0:
            request = closed_as(request, RequestStatus.APPROVED, reason, actor, now)
            closed = (request,)
            promotion = _promotion(request, four_eyes, _passed_over(gates))
            entries.append(self._told(promotion, request))
        self._desk.carrier.decide(
            Change(
                request.problem,
                tuple(entries),
                Seen(incumbent.id if incumbent else None, len(given)),
                closed=closed,
                approval=approval,
                promotion=promotion,
            )
        )
        return Decided(request, promotion, (*given, approval), max(missing, 0), four_eyes)

    def _told(self, promotion: Promotion, request: PromotionRequest) -> AuditEntry:
        said = f"In place of v{request.incumbent_version}. Four eyes: {promotion.four_eyes}."
        if promotion.passed_over:
            said += f" Passed over: {'; '.join(promotion.passed_over)}."
        by, reason = promotion.decided_by, promotion.reason
        return self._entry(Action.PROMOTED, request, by, reason, said)

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


def _passed_over(gates: tuple[GateResult, ...]) -> tuple[str, ...]:
    return tuple(f"{gate.gate}: {gate.verdict.value}" for gate in soft_reservations(gates))


def _promotion(
    request: PromotionRequest, four_eyes: str, passed_over: tuple[str, ...]
) -> Promotion:
    if request.decided_by is None or request.decided_at is None or request.reason is None:
        raise AssertionError(f"request {request.id} is not decided")
    return Promotion(
        id=new_id(),
        problem=request.problem,
        version=request.version,
        run_id=request.run_id,
        rule=APPROVAL,
        decided_by=request.decided_by,
        reason=request.reason,
        since=request.decided_at,
        request_id=request.id,
        four_eyes=four_eyes,
        passed_over=passed_over,
    )
