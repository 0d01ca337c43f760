"""The audit trail in Pilothouse's database: rows are appended and never changed.

Rows are read as they are found. What somebody has written over a row need not be a time or
one of our words, and it is for ``core.promotion.audit_verify`` to say so.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from core.adapters.database import Database
from core.adapters.database_engine import Turn, take_turn
from core.adapters.database_tables import METADATA, Row, utc
from core.promotion.audit import GENESIS, Action, AuditEntry, AuditRow, Chosen, Outcome, link

AUDIT = sa.Table(
    "audit",
    METADATA,
    sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("actor", sa.String(128), nullable=False),
    sa.Column("role", sa.String(64), nullable=False),
    sa.Column("action", sa.String(64), nullable=False),
    sa.Column("object", sa.Text, nullable=False),
    sa.Column("outcome", sa.String(16), nullable=False),
    sa.Column("problem", sa.String(64), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("request_id", sa.String(64), nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("previous", sa.String(64), nullable=False),
    sa.Column("hash", sa.String(64), nullable=False),
)
EVERY_ROW = Chosen()
#: What stands for a time that cannot be read; no row was written then.
_NO_TIME = datetime(1, 1, 1, tzinfo=UTC)


class AuditRecords:
    """Appends entries to the chain, each under the key of this installation."""

    def __init__(self, database: Database, key: bytes) -> None:
        self._database = database
        self._key = key

    def append(self, entry: AuditEntry) -> AuditRow:
        """Appends an entry in a transaction of its own.

        Raises:
            UnavailableError: the database does not answer; nothing is written.
        """
        with self._database.begin() as connection:
            return self.append_in(connection, entry)

    def append_in(self, connection: sa.Connection, entry: AuditEntry) -> AuditRow:
        """Appends an entry in the transaction of what it tells of.

        Writers take turns: from here to the end of the transaction no other one reads the
        last row. Call it before other writes, so that two transactions that wait for each
        other's rows cannot come about.
        """
        take_turn(connection, Turn.WRITE_TRAIL)
        query = _as_stored(connection).order_by(AUDIT.c.sequence.desc()).limit(1)
        found = connection.execute(query).mappings().first()
        row = link(self._key, entry, _row(found) if found else None)
        connection.execute(AUDIT.insert().values(**_values(row)))
        return row

    def list(
        self, limit: int | None, chosen: Chosen = EVERY_ROW, *, offset: int = 0
    ) -> tuple[AuditRow, ...]:
        """The last rows among those chosen, newest first, ``offset`` of them left out."""
        with self._database.begin() as connection:
            query = _as_stored(connection).where(*_conditions(chosen))
            query = query.order_by(AUDIT.c.sequence.desc()).limit(limit).offset(offset)
            return tuple(_row(row) for row in connection.execute(query).mappings())

    def count(self, chosen: Chosen = EVERY_ROW) -> int:
        """How many rows are chosen."""
        query = sa.select(sa.func.count()).select_from(AUDIT).where(*_conditions(chosen))
        with self._database.begin() as connection:
            return int(connection.execute(query).scalar_one())

    def actors(self) -> tuple[str, ...]:
        """Everybody who has ever acted, in order of the alphabet."""
        query = sa.select(AUDIT.c.actor).distinct()
        with self._database.begin() as connection:
            # Databases differ in what comes first in an alphabet.
            return tuple(sorted(connection.execute(query).scalars(), key=str))

    def hash_at(self, sequence: int) -> str | None:
        """Hash of one row, ``GENESIS`` of what stands before the first; ``None`` if gone."""
        if sequence == 0:
            return GENESIS
        query = sa.select(AUDIT.c.hash).where(AUDIT.c.sequence == sequence)
        with self._database.begin() as connection:
            return connection.execute(query).scalar()


def _as_stored(connection: sa.Connection) -> sa.Select[Any]:
    """Rows with their times as text: what is stored need not be a time that Python knows.

    SQLite keeps text, which may be any; PostgreSQL takes ``infinity``.
    """
    is_text = connection.dialect.name == "sqlite"
    at = sa.type_coerce(AUDIT.c.at, sa.String) if is_text else sa.cast(AUDIT.c.at, sa.Text)
    return sa.select(*(at.label("at") if one is AUDIT.c.at else one for one in AUDIT.c))


def _conditions(chosen: Chosen) -> list[sa.ColumnElement[bool]]:
    same = ("problem", "actor", "action", "outcome")
    found = [AUDIT.c[name] == str(wanted) for name in same if (wanted := getattr(chosen, name))]
    # SQLite keeps times without their zone, all of them in UTC.
    if chosen.since is not None:
        found.append(AUDIT.c.at >= chosen.since.astimezone(UTC))
    if chosen.until is not None:
        found.append(AUDIT.c.at < chosen.until.astimezone(UTC))
    return found


def _values(row: AuditRow) -> dict[str, object]:
    entry = asdict(row.entry) | {"at": row.entry.at.astimezone(UTC)}
    texts = {"action": str(row.entry.action), "outcome": str(row.entry.outcome)}
    chain = {"sequence": row.sequence, "previous": row.previous, "hash": row.hash}
    return {**entry, **texts, **chain}


def _row(row: Row) -> AuditRow:
    texts = {name: _text(row[name]) for name in AuditEntry.__dataclass_fields__ if name != "at"}
    texts["action"] = _word(Action, texts["action"])
    texts["outcome"] = _word(Outcome, texts["outcome"])
    entry = AuditEntry(at=_time(row["at"]), **texts)
    return AuditRow(row["sequence"], entry, _text(row["previous"]), _text(row["hash"]))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else repr(value)


def _word(words: type[StrEnum], text: str) -> str:
    return words(text) if text in set(words) else text


def _time(value: Any) -> datetime:
    if isinstance(value, datetime):
        return utc(value)
    try:
        return utc(datetime.fromisoformat(value))
    except (TypeError, ValueError):
        return _NO_TIME
