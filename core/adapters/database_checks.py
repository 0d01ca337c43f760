"""Checks in Pilothouse's database."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa

from core.adapters.database import Database
from core.adapters.database_tables import METADATA, Also, Row, utc
from core.domain import RunStatus
from core.domain_watching import AlertKind, Check, Level
from core.errors import NotFoundError

CHECKS = sa.Table(
    "checks",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("problem", sa.String(64), nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("started_by", sa.String(128), nullable=False),
    sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("batch_id", sa.String(64)),
    sa.Column("window", sa.String(32)),
    sa.Column("ended_at", sa.DateTime(timezone=True)),
    sa.Column("error", sa.Text),
    sa.Column("level", sa.String(32)),
    sa.Column("summary", sa.Text, nullable=False),
    sa.Column("rows", sa.Integer),
    # Whether alerts and the retraining policy have looked at it, and on which kinds of
    # alerts it had something to say.
    sa.Column("considered", sa.Boolean, nullable=False, default=False),
    sa.Column("told", sa.Text, nullable=False, default="[]"),
    sa.Column("data_at", sa.DateTime(timezone=True)),
    sa.Index("checks_by_time", "problem", "started_at"),
)
_ACTIVE = CHECKS.c.status.in_([status.value for status in RunStatus if status.is_active])


class CheckRecords:
    """What is known of every check; its report lies in MLflow."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, check: Check, also: Also | None = None) -> None:
        """Records a new check, and with it what ``also`` writes."""
        with self._database.begin(also) as connection:
            connection.execute(CHECKS.insert().values(**_values(check), considered=False))

    def save_active(self, check: Check) -> bool:
        """Writes what has changed of a check if it is still active; says whether it was."""
        active = (CHECKS.c.id == check.id) & _ACTIVE
        with self._database.begin() as connection:
            changed = connection.execute(CHECKS.update().where(active).values(**_values(check)))
        return changed.rowcount == 1

    def get(self, check_id: str) -> Check:
        """Reads one check.

        Raises:
            NotFoundError: there is no such check.
        """
        found = self._select(CHECKS.select().where(CHECKS.c.id == check_id))
        if not found:
            raise NotFoundError(
                f"There is no check {check_id!r}.", fix="`pilothouse checks list` shows them."
            )
        return found[0]

    def list(self, problem: str | None, limit: int) -> tuple[Check, ...]:
        """Checks, newest first."""
        query = CHECKS.select().order_by(CHECKS.c.started_at.desc()).limit(limit)
        return self._select(query if problem is None else query.where(CHECKS.c.problem == problem))

    def active(self) -> tuple[Check, ...]:
        """Checks that are queued or running."""
        return self._select(CHECKS.select().where(_ACTIVE))

    def unconsidered(self) -> tuple[Check, ...]:
        """Finished checks that alerts and policy have not looked at yet, oldest first."""
        finished = (CHECKS.c.status == RunStatus.FINISHED.value) & ~CHECKS.c.considered
        return self._select(CHECKS.select().where(finished).order_by(CHECKS.c.started_at))

    def mark_considered(self, check_id: str, told: Iterable[AlertKind]) -> None:
        """Says that alerts have looked at a check, and on which kinds it had a say."""
        values = {"considered": True, "told": json.dumps([kind.value for kind in told])}
        with self._database.begin() as connection:
            connection.execute(CHECKS.update().where(CHECKS.c.id == check_id).values(**values))

    def _select(self, query: sa.Select[Any]) -> tuple[Check, ...]:
        with self._database.begin() as connection:
            return tuple(_check(row) for row in connection.execute(query).mappings())


def _values(check: Check) -> dict[str, Any]:
    return {
        "id": check.id,
        "problem": check.problem,
        "status": check.status.value,
        "version": check.version,
        "started_by": check.started_by,
        "started_at": check.started_at,
        "batch_id": check.batch_id,
        "window": check.window,
        "ended_at": check.ended_at,
        "error": check.error,
        "level": check.level.value if check.level else None,
        "summary": check.summary,
        "rows": check.rows,
        "data_at": check.data_at,
    }


def _check(row: Row) -> Check:
    return Check(
        id=row["id"],
        problem=row["problem"],
        status=RunStatus(row["status"]),
        version=row["version"],
        started_by=row["started_by"],
        started_at=utc(row["started_at"]),
        batch_id=row["batch_id"],
        window=row["window"],
        ended_at=utc(row["ended_at"]) if row["ended_at"] else None,
        error=row["error"],
        level=Level(row["level"]) if row["level"] else None,
        summary=row["summary"],
        rows=row["rows"],
        data_at=utc(row["data_at"]) if row["data_at"] else None,
        told=tuple(AlertKind(kind) for kind in json.loads(row["told"])),
    )
