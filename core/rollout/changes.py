"""How a rollout changes: from one value to the next revision of it. Pure functions."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from core.domain import Promotion
from core.rollout.values import Rollout, RolloutStatus


def advanced(rollout: Rollout, now: datetime) -> Rollout:
    """In its next step. The entry of the record is dated when it comes to the last one."""
    step = rollout.step + 1
    is_last = step == len(rollout.shares) - 1
    promotion = rollout.promotion
    if promotion is not None and is_last:
        promotion = replace(promotion, since=now)
    return _next(replace(rollout, step=step, step_since=now, promotion=promotion))


def restarted(rollout: Rollout, now: datetime) -> Rollout:
    """In the same step, whose time counts from now."""
    return _next(replace(rollout, step_since=now))


def held(rollout: Rollout, because: str) -> Rollout:
    """Kept in its step until somebody lets it go on."""
    return _next(replace(rollout, status=RolloutStatus.HELD, held_because=because))


def resumed(rollout: Rollout) -> Rollout:
    """On its way again; its step began when it did."""
    return _next(replace(rollout, status=RolloutStatus.RUNNING, held_because=""))


def ended(rollout: Rollout, status: RolloutStatus, by: str, reason: str, now: datetime) -> Rollout:
    """Over."""
    return _next(
        replace(
            rollout,
            status=status,
            held_because="",
            ended_at=now,
            ended_by=by,
            end_reason=reason,
        )
    )


def promotion_due(rollout: Rollout) -> Promotion | None:
    """The entry of the record that a rollout brings in the step it is in; ``None`` if none."""
    return rollout.promotion if rollout.is_last_step else None


def _next(rollout: Rollout) -> Rollout:
    return replace(rollout, revision=rollout.revision + 1)
