"""Requests, the promotion record and evidence without services, for the panel's tests."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from core.domain import Approval, GateResult, Promotion, PromotionRequest, RequestStatus
from core.errors import PilothouseError
from core.promotion.decisions import Decided
from core.promotion.evidence import Evidence
from core.promotion.four_eyes import Hands, objection, standing
from core.promotion.shown import AliasDrift
from tests.unit.promotion_values import make_evidence, make_gates

NOW = datetime.now(UTC)


def run_id(number: int) -> str:
    return f"{number * 2654435761 % 2**32:08x}{number:024x}"


def make_request(number: int, **changed: object) -> PromotionRequest:
    request = PromotionRequest(
        id=f"req-{number}",
        problem="titanic",
        version=number,
        run_id=run_id(number),
        status=RequestStatus.OPEN,
        requested_by="pilothouse",
        requested_at=NOW - timedelta(minutes=20),
        incumbent_version=1,
        gates=make_gates(),
        evidence_path=f"promotion/req-{number}/evidence.json",
        evidence_sha256=f"{number:064x}",
    )
    return replace(request, **changed)


def make_promotion(number: int = 1, **changed: object) -> Promotion:
    since = datetime.now(UTC) - timedelta(hours=2, minutes=30)
    promotion = Promotion(
        id=f"promo-{number}",
        problem="titanic",
        version=number,
        run_id=run_id(number),
        rule="bootstrap",
        decided_by="pilothouse",
        reason="first version of an empty registry",
        since=since,
        live_at=since + timedelta(seconds=1.4),
    )
    return replace(promotion, **changed)


@dataclass
class FakeEvidence:
    #: Request -> what was frozen for it; otherwise one is made.
    frozen: dict[str, Evidence] = field(default_factory=dict)
    failure: PilothouseError | None = None

    def read(self, request: PromotionRequest) -> Evidence:
        if self.failure:
            raise self.failure
        known = self.frozen.get(request.id)
        return known or make_evidence(request.version, request_id=request.id)


@dataclass
class FakePromotions:
    #: Newest first.
    record: list[Promotion] = field(default_factory=list)
    #: Newest first.
    listed: list[PromotionRequest] = field(default_factory=list)
    given: list[Approval] = field(default_factory=list)
    drift: tuple[AliasDrift, ...] = ()
    told_apart: bool = False
    approvals_required: int = 1
    failure: PilothouseError | None = None
    #: Why the next decision is refused.
    refusal: PilothouseError | None = None
    restored: list[str] = field(default_factory=list)
    #: Of each approval whether in steps, and why although the error budget is spent.
    ways: list[tuple[bool, str]] = field(default_factory=list)

    def production(self, problem: str) -> Promotion | None:
        record = self.history(problem)
        return record[0] if record else None

    def history(self, problem: str) -> tuple[Promotion, ...]:
        self._answer()
        return tuple(self.record)

    def serving_at(self, problem: str, moment: datetime) -> Promotion | None:
        return next((one for one in self.record if one.live_at and one.live_at <= moment), None)

    def requests(
        self,
        problem: str | None = None,
        *,
        open_only: bool = False,
        limit: int | None = None,
    ) -> tuple[PromotionRequest, ...]:
        self._answer()
        return tuple(
            one for one in self.listed if not open_only or one.status is RequestStatus.OPEN
        )

    def approvals(self, request_id: str) -> tuple[Approval, ...]:
        return tuple(one for one in self.given if one.request_id == request_id)

    def gates_of(self, problem: str, version: int) -> tuple[GateResult, ...]:
        return make_gates() if version > 1 else ()

    def alias_drift(self, problem: str) -> tuple[AliasDrift, ...]:
        self._answer()
        return self.drift

    @property
    def four_eyes(self) -> str:
        return standing(self.told_apart)

    def objection(self, request: PromotionRequest, actor: str) -> str:
        hands = Hands("operator", request.requested_by)
        return objection(actor, hands, told_apart=self.told_apart)

    def approve(
        self,
        request_id: str,
        *,
        reason: str,
        actor: str,
        in_steps: bool = False,
        despite_budget: str = "",
    ) -> Decided:
        self._decide()
        self.ways.append((in_steps, despite_budget))
        request = next(one for one in self.listed if one.id == request_id)
        self.given.append(Approval(request_id, actor, datetime.now(UTC), reason))
        approvals = self.approvals(request_id)
        missing = self.approvals_required - len(approvals)
        if missing > 0:
            return Decided(request, None, approvals, missing, self.four_eyes)
        if in_steps:
            under_way = self._close(request_id, RequestStatus.ROLLING_OUT, reason, actor)
            return Decided(under_way, None, approvals, 0, self.four_eyes)
        decided = self._close(request_id, RequestStatus.APPROVED, reason, actor)
        promotion = make_promotion(
            decided.version,
            rule="approval",
            decided_by=actor,
            reason=reason,
            since=datetime.now(UTC),
            request_id=request_id,
            live_at=None,
            four_eyes=self.four_eyes,
            passed_over=("slices: fail",),
        )
        self.record.insert(0, promotion)
        return Decided(decided, promotion, approvals, 0, self.four_eyes)

    def reject(self, request_id: str, *, reason: str, actor: str) -> PromotionRequest:
        self._decide()
        return self._close(request_id, RequestStatus.REJECTED, reason, actor)

    def rollback(
        self, problem: str, version: int | None = None, *, reason: str, actor: str
    ) -> Promotion:
        self._decide()
        target = next(one for one in self.record if one.version == version)
        back = replace(
            target,
            id=f"back-{len(self.record)}",
            rule="rollback",
            decided_by=actor,
            reason=reason,
            since=datetime.now(UTC),
            live_at=None,
            undoes=self.record[0].id,
            request_id=None,
        )
        self.record.insert(0, back)
        return back

    def restore_alias(self, problem: str, *, actor: str, reason: str) -> Promotion:
        self._decide()
        self.restored.append(reason)
        self.drift = ()
        return self.record[0]

    def _close(
        self, request_id: str, status: RequestStatus, reason: str, actor: str
    ) -> PromotionRequest:
        now = datetime.now(UTC)
        at = next(at for at, one in enumerate(self.listed) if one.id == request_id)
        self.listed[at] = replace(
            self.listed[at], status=status, reason=reason, decided_by=actor, decided_at=now
        )
        return self.listed[at]

    def _answer(self) -> None:
        if self.failure:
            raise self.failure

    def _decide(self) -> None:
        if self.refusal:
            raise self.refusal
