"""The audit trail in Pilothouse's database: rows are appended and never changed."""

from __future__ import annotations

from dataclasses import asdict

import sqlalchemy as sa

from core.adapters.database import Database
from core.adapters.database_tables import METADATA, Row, utc
from core.promotion.audit import Action, AuditEntry, AuditRow, Outcome, link

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


class AuditRecords:
    """Appends entries to the chain, each under the key of this installation."""

    def __init__(self, database: Database, key: bytes) -> None:
        self._database = database
        self._key = key

    def append(self, entry: AuditEntry) -> AuditRow:
        """Appends an entry in a transaction of its own."""
        with self._database.begin() as connection:
            return self.append_in(connection, entry)

    def append_in(self, connection: sa.Connection, entry: AuditEntry) -> AuditRow:
        """Appends an entry in the transaction of what it tells of.

        Writers take turns: from here to the end of the transaction no other one reads the
        last row. Call it before other writes, so that two transactions that wait for each
        other's rows cannot come about.
        """
        _take_turns(connection)
        query = AUDIT.select().order_by(AUDIT.c.sequence.desc()).limit(1)
        found = connection.execute(query).mappings().first()
        row = link(self._key, entry, _row(found) if found else None)
        connection.execute(AUDIT.insert().values(**_values(row)))
        return row

    def list(self, limit: int) -> tuple[AuditRow, ...]:
        """The last rows, newest first."""
        query = AUDIT.select().order_by(AUDIT.c.sequence.desc()).limit(limit)
        with self._database.begin() as connection:
            return tuple(_row(row) for row in connection.execute(query).mappings())


def _take_turns(connection: sa.Connection) -> None:
    """Keeps other writers out until the transaction ends; readers go on."""
    if connection.dialect.name == "sqlite":
        # A write that changes nothing takes SQLite's one write lock, in a transaction that
        # has begun as well as in one that has not.
        nothing = AUDIT.update().where(sa.false()).values(hash=AUDIT.c.hash)
        connection.execute(nothing)
    else:
        connection.execute(sa.text("LOCK TABLE audit IN EXCLUSIVE MODE"))


def _values(row: AuditRow) -> dict[str, object]:
    entry = asdict(row.entry)
    own = {"action": row.entry.action.value, "outcome": row.entry.outcome.value}
    chain = {"sequence": row.sequence, "previous": row.previous, "hash": row.hash}
    return {**entry, **own, **chain}


def _row(row: Row) -> AuditRow:
    fields = AuditEntry.__dataclass_fields__
    entry = {name: row[name] for name in fields} | {
        "at": utc(row["at"]),
        "action": Action(row["action"]),
        "outcome": Outcome(row["outcome"]),
    }
    return AuditRow(row["sequence"], AuditEntry(**entry), row["previous"], row["hash"])
