"""What one decision writes: a value that is stored wholly or not at all."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from core.domain import Approval, Promotion, PromotionRequest, RequestStatus
from core.errors import ConflictError
from core.promotion.audit import AuditEntry
from core.rollout.values import Rollout


@dataclass(frozen=True)
class Seen:
    """What a decision rests on and what must still hold when it is written."""

    #: The newest entry of the problem's promotion record; ``None`` if there was none.
    promotion_id: str | None
    #: Approvals that the request had.
    approvals: int = 0


@dataclass(frozen=True)
class Change:
    """A decision with the rows of the audit trail that tell of it."""

    problem: str
    entries: tuple[AuditEntry, ...]
    #: ``None`` where the decision holds whatever else has happened.
    seen: Seen | None = None
    #: The run that needs no second look.
    considered_run: str | None = None
    #: Requests that were open and are not any more.
    closed: tuple[PromotionRequest, ...] = ()
    #: Requests that were rolling out and are not any more.
    settled: tuple[PromotionRequest, ...] = ()
    opened: PromotionRequest | None = None
    approval: Approval | None = None
    promotion: Promotion | None = None
    #: Rollouts that begin, or the next revision of some.
    rollouts: tuple[Rollout, ...] = ()
    #: Id of a promotion that registry and replicas are to show once more.
    shown_again: str | None = None


@dataclass(frozen=True)
class Unfinished:
    """Decisions that registry and replicas do not show yet, oldest first."""

    promotions: tuple[Promotion, ...]
    requests: tuple[PromotionRequest, ...]
    rollouts: tuple[Rollout, ...] = ()

    def of(self, problem: str) -> Unfinished:
        """Those of one problem."""
        return Unfinished(
            tuple(one for one in self.promotions if one.problem == problem),
            tuple(one for one in self.requests if one.problem == problem),
            tuple(one for one in self.rollouts if one.problem == problem),
        )

    @property
    def problems(self) -> tuple[str, ...]:
        """The problems that have some, in alphabetical order."""
        found = {one.problem for one in self.promotions}
        found |= {one.problem for one in self.requests}
        return tuple(sorted(found | {one.problem for one in self.rollouts}))


def not_open(request: PromotionRequest) -> ConflictError:
    """What is told to whoever comes too late to decide a request."""
    if request.status is RequestStatus.SUPERSEDED:
        what = f"request {request.superseded_by} has taken its place"
    else:
        when = f" at {request.decided_at:%Y-%m-%d %H:%M} UTC" if request.decided_at else ""
        what = f"{request.decided_by} decided it{when}: {request.status.value}"
    return ConflictError(
        f"Promotion request {request.id} is not open any more: {what}.",
        fix="`pilothouse promote list` shows what became of it.",
    )


def closed_as(
    request: PromotionRequest,
    status: RequestStatus,
    reason: str,
    actor: str,
    at: datetime | None = None,
) -> PromotionRequest:
    """A request that is open no more; ``at`` is now unless told otherwise."""
    when = at or datetime.now(UTC)
    return replace(request, status=status, reason=reason, decided_by=actor, decided_at=when)
