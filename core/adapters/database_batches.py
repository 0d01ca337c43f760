"""The table of batches."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from core.adapters.database import Database
from core.adapters.database_checks import CHECKS
from core.adapters.database_tables import METADATA, Also, Row, utc
from core.domain import Batch, SoftFinding
from core.errors import ConflictError, NotFoundError

BATCHES = sa.Table(
    "batches",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("problem", sa.String(64), nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("data_version", sa.String(64), nullable=False),
    sa.Column("rows", sa.Integer, nullable=False),
    sa.Column("given_labels", sa.Integer, nullable=False),
    sa.Column("added_by", sa.String(128), nullable=False),
    sa.Column("added_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("first_at", sa.DateTime(timezone=True)),
    sa.Column("last_at", sa.DateTime(timezone=True)),
    sa.Column("dropped", sa.Text, nullable=False),
    sa.Column("findings", sa.Text, nullable=False),
    # When labels last came for its rows.
    sa.Column("labelled_at", sa.DateTime(timezone=True)),
    # The same file twice is one batch, whoever gives it at the same time.
    sa.Index("one_batch_a_file", "problem", "sha256", unique=True),
)


class BatchRecords:
    """What is known of each batch; the rows themselves are files."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, batch: Batch, also: Also | None = None) -> None:
        """Records a new batch, and with it what ``also`` writes.

        Raises:
            ConflictError: its problem has a batch of the same file.
        """
        try:
            with self._database.begin(also) as connection:
                connection.execute(BATCHES.insert().values(**_values(batch)))
        except IntegrityError as exc:
            raise ConflictError(
                f"The file {batch.name} is a batch of {batch.problem} already.",
                fix=f"`pilothouse batch list {batch.problem}` shows it.",
            ) from exc

    def get(self, batch_id: str) -> Batch:
        """Reads one batch.

        Raises:
            NotFoundError: there is no such batch.
        """
        found = self._read(BATCHES.select().where(BATCHES.c.id == batch_id))
        if not found:
            raise NotFoundError(
                f"There is no batch {batch_id!r}.",
                fix="`pilothouse batch list PROBLEM` shows them.",
            )
        return found[0]

    def of_file(self, problem: str, sha256: str) -> Batch | None:
        """The batch of a problem that was made of these bytes, if there is one."""
        same = (BATCHES.c.problem == problem) & (BATCHES.c.sha256 == sha256)
        found = self._read(BATCHES.select().where(same))
        return found[0] if found else None

    def list(self, problem: str, limit: int) -> tuple[Batch, ...]:
        """Batches of a problem, newest first."""
        query = BATCHES.select().where(BATCHES.c.problem == problem)
        return self._read(query.order_by(BATCHES.c.added_at.desc()).limit(limit))

    def ids(self, problem: str) -> frozenset[str]:
        """Ids of all batches of a problem."""
        query = sa.select(BATCHES.c.id).where(BATCHES.c.problem == problem)
        with self._database.begin() as connection:
            return frozenset(connection.execute(query).scalars())

    def mark_labelled(self, batch_ids: Sequence[str], now: datetime) -> None:
        """Says that labels have come for rows of these batches."""
        with self._database.begin() as connection:
            connection.execute(
                BATCHES.update().where(BATCHES.c.id.in_(batch_ids)).values(labelled_at=now)
            )

    def unchecked(self, problem: str) -> tuple[Batch, ...]:
        """Batches that no check has looked at since they came or got labels, oldest first."""
        news = sa.func.coalesce(BATCHES.c.labelled_at, BATCHES.c.added_at)
        looked_at = sa.exists().where(
            (CHECKS.c.batch_id == BATCHES.c.id) & (CHECKS.c.started_at >= news)
        )
        query = BATCHES.select().where((BATCHES.c.problem == problem) & ~looked_at)
        return self._read(query.order_by(BATCHES.c.added_at))

    def _read(self, query: sa.Select[tuple[object, ...]]) -> tuple[Batch, ...]:
        with self._database.begin() as connection:
            return tuple(_batch_from(row) for row in connection.execute(query).mappings())


def _values(batch: Batch) -> dict[str, object]:
    values = asdict(batch)
    return values | {
        "dropped": json.dumps(batch.dropped),
        "findings": json.dumps(values["findings"]),
    }


def _batch_from(row: Row) -> Batch:
    own = {key: row[key] for key in Batch.__dataclass_fields__}
    return Batch(
        **own
        | {
            "added_at": utc(row["added_at"]),
            "first_at": utc(row["first_at"]) if row["first_at"] else None,
            "last_at": utc(row["last_at"]) if row["last_at"] else None,
            "dropped": tuple(json.loads(row["dropped"])),
            "findings": tuple(SoftFinding(**one) for one in json.loads(row["findings"])),
        }
    )
