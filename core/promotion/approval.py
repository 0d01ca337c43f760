"""What an approval is made of: its way, what it rests on, and the values it brings."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from core.domain import GateResult, Promotion, PromotionRequest
from core.promotion.audit import Action, AuditEntry
from core.promotion.desk import Desk, new_id
from core.promotion.gates import soft_reservations
from core.rollout.values import Rollout, RolloutKind, RolloutStatus

APPROVAL = "approval"


@dataclass(frozen=True)
class Fresh:
    """What an approval rests on: the gates, and the files that they were measured on."""

    gates: tuple[GateResult, ...]
    source: str
    bundle_sha256: str


@dataclass(frozen=True)
class Way:
    """How an approved version takes over."""

    #: Shares of requests step by step; without any it takes over at once.
    steps: tuple[float, ...] = ()
    #: Why it may although the error budget is spent; empty where nobody has said so.
    despite_budget: str = ""


AT_ONCE = Way()


@dataclass(frozen=True)
class Yes:
    """One person's approval, before it is written."""

    actor: str
    reason: str
    way: Way


def promoted(desk: Desk, promotion: Promotion, incumbent_version: int | None) -> AuditEntry:
    """The row of the audit trail that tells of an approved version in Production."""
    said = f"In place of v{incumbent_version}. Four eyes: {promotion.four_eyes}."
    if promotion.passed_over:
        said += f" Passed over: {'; '.join(promotion.passed_over)}."
    return desk.entry(
        Action.PROMOTED,
        promotion.problem,
        promotion.version,
        actor=promotion.decided_by,
        reason=promotion.reason,
        request_id=promotion.request_id,
        detail=said,
    )


def _passed_over(gates: tuple[GateResult, ...]) -> tuple[str, ...]:
    return tuple(f"{gate.gate}: {gate.verdict.value}" for gate in soft_reservations(gates))


def promotion_of(request: PromotionRequest, four_eyes: str, fresh: Fresh) -> Promotion:
    """The entry of the record that an approved request brings."""
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
        passed_over=_passed_over(fresh.gates),
        source=fresh.source,
        bundle_sha256=fresh.bundle_sha256,
    )


def is_due(rollout: Rollout | None) -> bool:
    """Whether the version is Production at once: without steps, or with one of everything."""
    return rollout is None or rollout.is_last_step


def canary_of(request: PromotionRequest, promotion: Promotion, way: Way, now: datetime) -> Rollout:
    """The canary that carries an approved request out in steps."""
    if request.incumbent_version is None:
        raise AssertionError(f"request {request.id} has no incumbent")
    return Rollout(
        id=new_id(),
        problem=request.problem,
        kind=RolloutKind.CANARY,
        version=request.version,
        run_id=request.run_id,
        incumbent_version=request.incumbent_version,
        status=RolloutStatus.RUNNING,
        shares=way.steps,
        step=0,
        step_since=now,
        started_by=promotion.decided_by,
        started_at=now,
        reason=promotion.reason,
        source=promotion.source,
        bundle_sha256=promotion.bundle_sha256,
        request_id=request.id,
        promotion=promotion,
    )
