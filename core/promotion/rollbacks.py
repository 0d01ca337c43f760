"""Going back to an earlier Production version, and aliases put right again."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from core.domain import Promotion
from core.errors import ConflictError, NotFoundError
from core.promotion.audit import Action, AuditEntry
from core.promotion.change import Change, Seen
from core.promotion.desk import Desk, new_id
from core.promotion.four_eyes import standing_without
from core.promotion.interruption import interrupt
from core.promotion.shown import AUTOMATIC_ROLLBACK, ROLLBACK, fallbacks, last_resorts
from core.rollout.values import RolloutStatus


class Rollbacks:
    """Takes promotions back."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def rollback(self, problem: str, version: int | None, *, reason: str, actor: str) -> Promotion:
        """Makes an earlier Production version serve again, whatever its gates say.

        Args:
            problem: whose model.
            version: any that was in production before; ``None`` for the newest earlier one
                that nobody has gone back from.
            reason: why.
            actor: who decides.

        Raises:
            InvalidInputError: the reason is too short.
            NotFoundError: the version was never in production or is not in the registry.
            ConflictError: it serves already, or there is nothing to go back to.
            UnavailableError: the registry does not answer; nothing is decided.
        """
        self._desk.require_reason(reason)
        with self._desk.carrier.turn():
            record = self._desk.records.promotions(problem)
            target = _target(problem, record, version)
            self._desk.registry.get(problem, target.version)
            current = record[0]
            back = back_to(self._desk, target, current, ROLLBACK, actor, reason)
            entry = self._desk.entry(
                Action.ROLLED_BACK,
                problem,
                target.version,
                actor=actor,
                reason=reason,
                detail=f"In place of v{current.version}. Four eyes: {back.four_eyes}.",
            )
            self._decide(entry, current, back, RolloutStatus.STOPPED)
        return back

    def undo(self, current: Promotion, why: str, *, actor: str) -> Promotion | None:
        """Takes back a promotion whose version cannot be served.

        Returns the entry with the version that serves in its place, or ``None`` where there
        is none, or where something else was decided meanwhile.

        Raises:
            UnavailableError: the registry does not answer; nothing is decided.
        """
        problem = current.problem
        with self._desk.carrier.turn():
            record = self._desk.records.promotions(problem)
            target = self._first_registered(record)
            if record[0].id != current.id or target is None:
                return None
            back = back_to(self._desk, target, current, AUTOMATIC_ROLLBACK, actor, why)
            entry = self._desk.entry(
                Action.DECISION_UNDONE,
                problem,
                current.version,
                actor=actor,
                reason=why,
                request_id=current.request_id,
                detail=f"v{target.version} serves again.",
            )
            self._decide(entry, current, back, RolloutStatus.ROLLED_BACK)
        return back

    def restore_alias(self, problem: str, *, actor: str, reason: str) -> Promotion:
        """Makes aliases show the record again after somebody has moved them.

        Raises:
            InvalidInputError: the reason is too short.
            ConflictError: they show the record.
            UnavailableError: the registry does not answer.
        """
        self._desk.require_reason(reason)
        with self._desk.carrier.turn():
            current = self._desk.records.production(problem)
            drift = self._desk.carrier.alias_drift(problem)
            if current is None or not drift:
                raise ConflictError(f"The aliases of {problem} show the record.")
            entry = self._desk.entry(
                Action.ALIAS_RESTORED,
                problem,
                current.version,
                actor=actor,
                reason=reason,
                detail=" ".join(one.said() for one in drift),
            )
            self._desk.carrier.decide(Change(problem, (entry,), shown_again=current.id))
        return current

    def _first_registered(self, record: tuple[Promotion, ...]) -> Promotion | None:
        for one in (*fallbacks(record), *last_resorts(record)):
            try:
                self._desk.registry.get(one.problem, one.version)
            except NotFoundError:
                continue
            return one
        return None

    def _decide(
        self, entry: AuditEntry, current: Promotion, back: Promotion, ends_as: RolloutStatus
    ) -> None:
        problem, actor = back.problem, back.decided_by
        why = f"Production goes back to v{back.version}."
        stopped = interrupt(self._desk, problem, why, actor=actor, status=ends_as)
        self._desk.carrier.decide(
            Change(
                problem,
                (entry, *stopped.entries),
                Seen(current.id),
                settled=stopped.settled,
                promotion=back,
                rollouts=stopped.rollouts,
            )
        )


def back_to(
    desk: Desk, target: Promotion, current: Promotion, rule: str, actor: str, reason: str
) -> Promotion:
    """The entry by which an earlier version serves again in place of the current one."""
    return replace(
        target,
        id=new_id(),
        rule=rule,
        decided_by=actor,
        reason=reason,
        since=datetime.now(UTC),
        live_at=None,
        undoes=current.id,
        # How it came to serve the first time is told by its own entry.
        request_id=None,
        four_eyes=standing_without(desk.identities.told_apart, rule),
        passed_over=(),
    )


def _target(problem: str, record: tuple[Promotion, ...], version: int | None) -> Promotion:
    if version is None:
        back = fallbacks(record) if record else ()
        if not back:
            raise ConflictError(
                f"{problem} has no earlier version to go back to.",
                fix=f"`pilothouse promote history {problem}` shows them; name one by --version.",
            )
        return back[0]
    if record and record[0].version == version:
        raise ConflictError(f"{problem} v{version} is in production already.")
    for one in record:
        if one.version == version:
            return one
    raise NotFoundError(
        f"{problem} v{version} was never in production.",
        fix=f"`pilothouse promote request {problem} {version}` asks for it.",
    )
