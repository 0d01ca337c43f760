"""Promotion requests, approvals and the promotion record in the database.

A decision is one transaction: the request, its approvals, the entry of the record and the
rows of the audit trail are there together or not at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from core.adapters.database import Database
from core.adapters.database_audit import AUDIT
from core.adapters.database_engine import Turn, take_turn
from core.adapters.database_rollouts import ROLLOUTS, rollouts_in, write_rollout
from core.adapters.database_tables import (
    APPROVALS,
    OPEN,
    PROMOTIONS,
    REQUESTS,
    RUNS,
    promotion_from,
    promotion_values,
    request_from,
    request_values,
    utc,
)
from core.domain import Approval, Promotion, PromotionRequest, RequestStatus
from core.errors import ConflictError, NotFoundError
from core.promotion.audit import Action, AuditEntry
from core.promotion.change import Change, Seen, Unfinished, not_open
from core.promotion.trail import AuditTrail


class DecisionRecords:
    """What was decided. Values in, values out."""

    def __init__(self, database: Database, trail: AuditTrail) -> None:
        self._database = database
        self._trail = trail

    def decide(self, change: Change) -> None:
        """Writes what one decision brings, wholly or not at all.

        Raises:
            ConflictError: somebody else was faster; the message says who.
        """
        try:
            with self._database.begin() as connection:
                # First of all, and also without a row to write: what is read from here on still
                # holds when the transaction ends, and no two wait for each other's rows.
                take_turn(connection, Turn.WRITE_TRAIL)
                for entry in change.entries:
                    self._trail.append_in(connection, entry)
                if change.seen is not None:
                    _require_unmoved(connection, change, change.seen)
                _write(connection, change)
        except IntegrityError as exc:
            raise ConflictError(
                "Somebody else decides at this moment.", fix="Look at it again."
            ) from exc
        if change.entries:
            self._trail.anchor()

    def request(self, request_id: str) -> PromotionRequest:
        """Reads one promotion request.

        Raises:
            NotFoundError: there is no such request.
        """
        found = self._requests(REQUESTS.select().where(REQUESTS.c.id == request_id))
        if not found:
            raise NotFoundError(
                f"There is no promotion request {request_id!r}.",
                fix="`pilothouse promote list` shows them.",
            )
        return found[0]

    def requests(
        self,
        problem: str | None = None,
        *,
        open_only: bool = False,
        limit: int | None = None,
    ) -> tuple[PromotionRequest, ...]:
        """Promotion requests, newest first; all of them without a limit."""
        query = REQUESTS.select().order_by(REQUESTS.c.requested_at.desc()).limit(limit)
        if problem is not None:
            query = query.where(REQUESTS.c.problem == problem)
        return self._requests(query.where(OPEN) if open_only else query)

    def approvals(self, request_id: str) -> tuple[Approval, ...]:
        """Who has said yes to a request, oldest first."""
        query = APPROVALS.select().where(APPROVALS.c.request_id == request_id)
        with self._database.begin() as connection:
            rows = connection.execute(query.order_by(APPROVALS.c.approved_at)).mappings()
            return tuple(
                Approval(**{**row, "approved_at": utc(row["approved_at"])}) for row in rows
            )

    def promotions(self, problem: str) -> tuple[Promotion, ...]:
        """The promotion record of a problem, newest first."""
        query = PROMOTIONS.select().where(PROMOTIONS.c.problem == problem)
        return self._promotions(query.order_by(PROMOTIONS.c.sequence.desc()))

    def production(self, problem: str) -> Promotion | None:
        """The newest entry of the record; ``None`` before the first."""
        query = PROMOTIONS.select().where(PROMOTIONS.c.problem == problem)
        found = self._promotions(query.order_by(PROMOTIONS.c.sequence.desc()).limit(1))
        return found[0] if found else None

    def mark_live(self, promotion_id: str, at: datetime) -> None:
        """Notes when replicas first answered with a promotion."""
        first = (PROMOTIONS.c.id == promotion_id) & PROMOTIONS.c.live_at.is_(None)
        with self._database.begin() as connection:
            connection.execute(PROMOTIONS.update().where(first).values(live_at=at))

    def unfinished(self) -> Unfinished:
        """What registry and replicas do not show yet, oldest first."""
        left = PROMOTIONS.select().where(~PROMOTIONS.c.projected).order_by(PROMOTIONS.c.sequence)
        requests = REQUESTS.select().where(~REQUESTS.c.projected)
        rollouts = ROLLOUTS.select().where(~ROLLOUTS.c.projected).order_by(ROLLOUTS.c.started_at)
        with self._database.begin() as connection:
            unshown = rollouts_in(connection, rollouts)
        return Unfinished(
            self._promotions(left),
            self._requests(requests.order_by(REQUESTS.c.requested_at)),
            unshown,
        )

    def finish(self, done: Unfinished, entries: Sequence[AuditEntry] = ()) -> None:
        """Says that registry and replicas show decisions, with rows that tell who saw to it."""
        with self._database.begin() as connection:
            take_turn(connection, Turn.WRITE_TRAIL)
            for entry in entries:
                self._trail.append_in(connection, entry)
            for promotion in done.promotions:
                own = PROMOTIONS.c.id == promotion.id
                connection.execute(PROMOTIONS.update().where(own).values(projected=True))
            for request in done.requests:
                # One that was decided meanwhile is to be shown once more.
                same = (REQUESTS.c.id == request.id) & (REQUESTS.c.status == request.status.value)
                connection.execute(REQUESTS.update().where(same).values(projected=True))
            for rollout in done.rollouts:
                this = (ROLLOUTS.c.id == rollout.id) & (ROLLOUTS.c.revision == rollout.revision)
                connection.execute(ROLLOUTS.update().where(this).values(projected=True))
        if entries:
            self._trail.anchor()

    def told_of_aliases(self, problem: str) -> str:
        """What the trail says of aliases that were moved; empty if they were restored since."""
        told = (Action.ALIAS_MOVED.value, Action.ALIAS_RESTORED.value)
        query = sa.select(AUDIT.c.action, AUDIT.c.detail).where(
            (AUDIT.c.problem == problem) & AUDIT.c.action.in_(told)
        )
        with self._database.begin() as connection:
            last = connection.execute(query.order_by(AUDIT.c.sequence.desc()).limit(1)).first()
        return last.detail if last and last.action == Action.ALIAS_MOVED else ""

    def _requests(self, query: sa.Select[Any]) -> tuple[PromotionRequest, ...]:
        with self._database.begin() as connection:
            return tuple(request_from(row) for row in connection.execute(query).mappings())

    def _promotions(self, query: sa.Select[Any]) -> tuple[Promotion, ...]:
        with self._database.begin() as connection:
            return tuple(promotion_from(row) for row in connection.execute(query).mappings())


def _require_unmoved(connection: sa.Connection, change: Change, seen: Seen) -> None:
    query = PROMOTIONS.select().where(PROMOTIONS.c.problem == change.problem)
    newest = connection.execute(query.order_by(PROMOTIONS.c.sequence.desc())).mappings().first()
    if (newest["id"] if newest else None) != seen.promotion_id:
        who = promotion_from(newest) if newest else None
        told = f"v{who.version} by {who.decided_by} ({who.rule})" if who else "nothing"
        raise ConflictError(
            f"Production of {change.problem} has changed at this moment: {told}.",
            fix="Look at it again.",
        )
    if change.approval is not None:
        own = APPROVALS.c.request_id == change.approval.request_id
        count = sa.select(sa.func.count()).select_from(APPROVALS).where(own)
        if connection.execute(count).scalar_one() != seen.approvals:
            raise ConflictError("Somebody else approved at this moment.", fix="Look at it again.")


def _write(connection: sa.Connection, change: Change) -> None:
    if change.considered_run is not None:
        own = RUNS.c.id == change.considered_run
        connection.execute(RUNS.update().where(own).values(considered=True))
    for request in change.closed:
        _close_request(connection, request)
    for request in change.settled:
        _settle_request(connection, request)
    if change.opened is not None:
        connection.execute(REQUESTS.insert().values(**request_values(change.opened)))
    if change.approval is not None:
        connection.execute(APPROVALS.insert().values(**asdict(change.approval)))
    if change.promotion is not None:
        connection.execute(PROMOTIONS.insert().values(**promotion_values(change.promotion)))
    for rollout in change.rollouts:
        write_rollout(connection, rollout)
    if change.shown_again is not None:
        own = PROMOTIONS.c.id == change.shown_again
        connection.execute(PROMOTIONS.update().where(own).values(projected=False))


def _close_request(connection: sa.Connection, request: PromotionRequest) -> None:
    own = REQUESTS.c.id == request.id
    values = {**request_values(request), "projected": False}
    changed = connection.execute(REQUESTS.update().where(own & OPEN).values(**values))
    if changed.rowcount != 1:
        row = connection.execute(REQUESTS.select().where(own)).mappings().first()
        if row is None:
            raise NotFoundError(f"There is no promotion request {request.id!r}.")
        raise not_open(request_from(row))


def _settle_request(connection: sa.Connection, request: PromotionRequest) -> None:
    own = (REQUESTS.c.id == request.id) & (REQUESTS.c.status == RequestStatus.ROLLING_OUT.value)
    values = {"status": request.status.value, "projected": False}
    if connection.execute(REQUESTS.update().where(own).values(**values)).rowcount != 1:
        raise ConflictError(f"Request {request.id} does not roll out.", fix="Look at it again.")
