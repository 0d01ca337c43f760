"""How a rollout ends before its time: as one change with what it takes back."""

from __future__ import annotations

from dataclasses import replace

from core.domain import Promotion
from core.errors import ConflictError, NotFoundError, UnavailableError
from core.promotion.audit import Action, AuditEntry, Outcome
from core.promotion.change import Change, Seen
from core.promotion.desk import Desk
from core.promotion.interruption import settled_with
from core.promotion.rollbacks import back_to
from core.rollout.values import Rollout, RolloutKind


def entry_of(
    desk: Desk,
    action: Action,
    rollout: Rollout,
    *,
    actor: str,
    reason: str = "",
    detail: str = "",
    outcome: Outcome = Outcome.DONE,
) -> AuditEntry:
    """A row of the audit trail about a rollout."""
    return desk.entry(
        action,
        rollout.problem,
        rollout.version,
        actor=actor,
        reason=reason,
        request_id=rollout.request_id,
        detail=detail,
        outcome=outcome,
    )


def taken_back(desk: Desk, over: Rollout, entry: AuditEntry, rule: str) -> Change:
    """The change that ends a rollout; a version that is Production already goes with it.

    To be called while holding the turn.

    Args:
        desk: the tools of the one who decides.
        over: the rollout, as it is when it is over.
        entry: the row of the audit trail that tells of it.
        rule: by which Production goes back, if it has to.

    Raises:
        NotFoundError: the version before is not in the registry any more. Going on is then the
            only way: `pilothouse promote rollback` names another version.
        ConflictError: something else has become Production meanwhile.
        UnavailableError: the registry or the database does not answer.
    """
    back, seen = None, None
    if over.kind is RolloutKind.CANARY and over.is_last_step:
        target, current = _before(desk, over)
        _require_kept(desk, target)
        back = back_to(desk, target, current, rule, over.ended_by or "", over.end_reason)
        seen = Seen(current.id)
        entry = replace(entry, detail=f"{entry.detail} v{target.version} is Production again.")
    settled = settled_with(desk, over)
    return Change(over.problem, (entry,), seen, settled=settled, promotion=back, rollouts=(over,))


def _require_kept(desk: Desk, target: Promotion) -> None:
    try:
        desk.registry.get(target.problem, target.version)
    except UnavailableError:
        # Replicas hold it, and the record says where its files lie: nothing has to be asked.
        if not target.source:
            raise


def _before(desk: Desk, over: Rollout) -> tuple[Promotion, Promotion]:
    """The newest entry of the version before, and the one that is Production now."""
    record = desk.records.promotions(over.problem)
    current = record[0]
    if current.version != over.version:
        raise ConflictError(f"v{current.version} has become Production meanwhile.")
    for entry in record[1:]:
        if entry.version == over.incumbent_version:
            return entry, current
    raise NotFoundError(f"v{over.incumbent_version} is not in the promotion record.")
