"""Rollouts in the database: shadows and canaries, active and over."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa
from pydantic import TypeAdapter

from core.adapters.database import Database
from core.adapters.database_tables import METADATA, Row, utc
from core.domain import Promotion
from core.errors import ConflictError, NotFoundError
from core.rollout.values import Rollout, RolloutKind, RolloutStatus

ACTIVE_ROLLOUT = sa.text("status IN ('running', 'held')")
ROLLOUTS = sa.Table(
    "rollouts",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("problem", sa.String(64), nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("run_id", sa.String(64), nullable=False),
    sa.Column("incumbent_version", sa.Integer, nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("shares", sa.Text, nullable=False),
    sa.Column("step", sa.Integer, nullable=False),
    sa.Column("step_since", sa.DateTime(timezone=True), nullable=False),
    sa.Column("started_by", sa.String(128), nullable=False),
    sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("bundle_sha256", sa.String(64), nullable=False),
    sa.Column("request_id", sa.String(64)),
    sa.Column("promotion", sa.Text),
    sa.Column("held_because", sa.Text, nullable=False, default=""),
    sa.Column("ended_at", sa.DateTime(timezone=True)),
    sa.Column("ended_by", sa.String(128)),
    sa.Column("end_reason", sa.Text, nullable=False, default=""),
    sa.Column("revision", sa.Integer, nullable=False),
    # Alias and replicas follow it; until then this is false.
    sa.Column("projected", sa.Boolean, nullable=False, default=False),
    # At most one is active a problem, whoever starts one at the same time.
    sa.Index(
        "one_active_rollout",
        "problem",
        unique=True,
        sqlite_where=ACTIVE_ROLLOUT,
        postgresql_where=ACTIVE_ROLLOUT,
    ),
)
_PROMOTION = TypeAdapter(Promotion)
_TIMES = ("step_since", "started_at", "ended_at")


class RolloutRecords:
    """What was and is rolled out. It is written by decisions alone."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def active(self, problem: str) -> Rollout | None:
        """The rollout of a problem that replicas take part in; ``None`` where there is none."""
        found = self._read(
            ROLLOUTS.select().where((ROLLOUTS.c.problem == problem) & ACTIVE_ROLLOUT)
        )
        return found[0] if found else None

    def list(self, problem: str | None = None, limit: int | None = None) -> tuple[Rollout, ...]:
        """Rollouts, newest first; all of them without a limit."""
        query = ROLLOUTS.select().order_by(ROLLOUTS.c.started_at.desc()).limit(limit)
        return self._read(query if problem is None else query.where(ROLLOUTS.c.problem == problem))

    def get(self, rollout_id: str) -> Rollout:
        """Reads one rollout.

        Raises:
            NotFoundError: there is no such rollout.
        """
        found = self._read(ROLLOUTS.select().where(ROLLOUTS.c.id == rollout_id))
        if not found:
            raise NotFoundError(
                f"There is no rollout {rollout_id!r}.", fix="`pilothouse rollout list` shows them."
            )
        return found[0]

    def _read(self, query: sa.Select[Any]) -> tuple[Rollout, ...]:
        with self._database.begin() as connection:
            return rollouts_in(connection, query)


def rollouts_in(connection: sa.Connection, query: sa.Select[Any]) -> tuple[Rollout, ...]:
    """The rollouts that a query finds."""
    return tuple(_rollout_from(row) for row in connection.execute(query).mappings())


def write_rollout(connection: sa.Connection, rollout: Rollout) -> None:
    """Writes a rollout that begins, or the next revision of one.

    Raises:
        ConflictError: somebody else has changed it.
    """
    if rollout.revision == 0:
        connection.execute(ROLLOUTS.insert().values(**_values(rollout)))
        return
    before = (ROLLOUTS.c.id == rollout.id) & (ROLLOUTS.c.revision == rollout.revision - 1)
    values = {**_values(rollout), "projected": False}
    if connection.execute(ROLLOUTS.update().where(before).values(**values)).rowcount != 1:
        raise ConflictError(
            f"Rollout {rollout.id} has changed at this moment.", fix="Look at it again."
        )


def _values(rollout: Rollout) -> dict[str, Any]:
    promotion = rollout.promotion
    return {
        **asdict(rollout),
        "kind": rollout.kind.value,
        "status": rollout.status.value,
        "shares": json.dumps(rollout.shares),
        "promotion": _PROMOTION.dump_json(promotion).decode() if promotion else None,
    }


def _rollout_from(row: Row) -> Rollout:
    own = {key: row[key] for key in Rollout.__dataclass_fields__}
    times = {key: utc(row[key]) if row[key] else None for key in _TIMES}
    return Rollout(
        **{
            **own,
            **times,
            "kind": RolloutKind(row["kind"]),
            "status": RolloutStatus(row["status"]),
            "shares": tuple(json.loads(row["shares"])),
            "promotion": _PROMOTION.validate_json(row["promotion"]) if row["promotion"] else None,
        }
    )
