"""What becomes of a rollout when something else is decided about Production."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from core.domain import PromotionRequest, RequestStatus
from core.promotion.audit import Action, AuditEntry
from core.promotion.desk import Desk
from core.rollout.changes import ended
from core.rollout.values import Rollout, RolloutStatus

#: How a request ends whose rollout has ended so.
_SETTLED = {
    RolloutStatus.DONE: RequestStatus.APPROVED,
    RolloutStatus.STOPPED: RequestStatus.ROLLED_BACK,
    RolloutStatus.ROLLED_BACK: RequestStatus.ROLLED_BACK,
}


@dataclass(frozen=True)
class Interrupted:
    """The parts of a change that end a rollout; empty where there was none."""

    rollouts: tuple[Rollout, ...] = ()
    settled: tuple[PromotionRequest, ...] = ()
    entries: tuple[AuditEntry, ...] = ()


def interrupt(
    desk: Desk,
    problem: str,
    why: str,
    *,
    actor: str,
    status: RolloutStatus = RolloutStatus.STOPPED,
) -> Interrupted:
    """Ends the active rollout of a problem, if there is one, as part of another decision.

    To be called while holding the turn.

    Raises:
        UnavailableError: the database does not answer.
    """
    active = desk.rollouts.active(problem)
    if active is None:
        return Interrupted()
    over = ended(active, status, actor, why, datetime.now(UTC))
    entry = desk.entry(
        Action.ROLLOUT_STOPPED,
        problem,
        active.version,
        actor=actor,
        reason=why,
        request_id=active.request_id,
        detail=f"The {active.kind.value} ended with it.",
    )
    return Interrupted((over,), settled_with(desk, over), (entry,))


def settled_with(desk: Desk, over: Rollout) -> tuple[PromotionRequest, ...]:
    """The request of a canary that is over, as it stands now; a shadow has none.

    Raises:
        NotFoundError: there is no such request any more.
        UnavailableError: the database does not answer.
    """
    if over.request_id is None:
        return ()
    request = desk.records.request(over.request_id)
    return (replace(request, status=_SETTLED[over.status]),)
