"""Keys of the served models, in the database: their hashes, never the keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime

import sqlalchemy as sa

from core.access.admission import AdmittedKey
from core.access.serving_key import Scope, ServingKey
from core.adapters.database import Database
from core.adapters.database_tables import METADATA, Also, Row, utc
from core.errors import ConflictError, NotFoundError

KEYS = sa.Table(
    "serving_keys",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("problem", sa.String(64), nullable=False),
    sa.Column("name", sa.String(128), nullable=False),
    # Separated by spaces.
    sa.Column("scopes", sa.String(64), nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False, unique=True),
    sa.Column("requests_per_second", sa.Float),
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("created_by", sa.String(128), nullable=False),
    sa.Column("expires_at", sa.DateTime(timezone=True)),
    sa.Column("revoked_at", sa.DateTime(timezone=True)),
    sa.Column("revoked_by", sa.String(128)),
    sa.Column("last_used_at", sa.DateTime(timezone=True)),
)
_TIMES = ("created_at", "expires_at", "revoked_at", "last_used_at")


class KeyRecords:
    """Keys of the served models. Values in, values out."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, key: ServingKey, sha256: str, also: Also) -> None:
        """Records a new key under its hash, and with it what ``also`` writes."""
        values = asdict(key) | {"scopes": " ".join(key.scopes), "sha256": sha256}
        with self._database.begin(also) as connection:
            connection.execute(KEYS.insert().values(**values))

    def get(self, key_id: str) -> ServingKey:
        """Reads one key.

        Raises:
            NotFoundError: there is no such key.
        """
        with self._database.begin() as connection:
            row = connection.execute(KEYS.select().where(KEYS.c.id == key_id)).mappings().first()
        if row is None:
            raise NotFoundError(
                f"There is no key {key_id!r}.", fix="`pilothouse keys list` shows them."
            )
        return _key_from(row)

    def list(self, problem: str | None) -> tuple[ServingKey, ...]:
        """Every key there ever was, newest first."""
        query = KEYS.select().order_by(KEYS.c.created_at.desc())
        if problem is not None:
            query = query.where(KEYS.c.problem == problem)
        with self._database.begin() as connection:
            return tuple(_key_from(row) for row in connection.execute(query).mappings())

    def revoke(self, key_id: str, *, by: str, at: datetime, also: Also) -> None:
        """Notes that a key is taken no more, and with it what ``also`` writes.

        Raises:
            ConflictError: it was revoked already; nothing is written.
        """
        still_there = (KEYS.c.id == key_id) & KEYS.c.revoked_at.is_(None)
        change = KEYS.update().where(still_there).values(revoked_at=at, revoked_by=by)
        with self._database.begin(also) as connection:
            if connection.execute(change).rowcount != 1:
                raise ConflictError(f"Key {key_id} was revoked already.")

    def note_use(self, used: Mapping[str, datetime]) -> None:
        """Writes when keys were last used; a time before the one that is known changes nothing."""
        last = KEYS.c.last_used_at
        with self._database.begin() as connection:
            # In one order, so that no two of these wait for each other's rows.
            for key_id, at in sorted(used.items()):
                is_later = (KEYS.c.id == key_id) & (last.is_(None) | (last < at))
                connection.execute(KEYS.update().where(is_later).values(last_used_at=at))

    def admitted(self, now: datetime) -> tuple[AdmittedKey, ...]:
        """Keys that replicas have to take, with their hashes, in the order of their ids."""
        query = KEYS.select().where(KEYS.c.revoked_at.is_(None))
        with self._database.begin() as connection:
            found = [
                (_key_from(row), row["sha256"]) for row in connection.execute(query).mappings()
            ]
        return tuple(
            AdmittedKey(
                id=key.id,
                problem=key.problem,
                scopes=key.scopes,
                sha256=sha256,
                expires_at=key.expires_at,
                requests_per_second=key.requests_per_second,
            )
            # Databases differ in what comes first in an alphabet.
            for key, sha256 in sorted(found, key=lambda one: one[0].id)
            if key.opens(now)
        )


def _key_from(row: Row) -> ServingKey:
    own = {name: row[name] for name in ServingKey.__dataclass_fields__}
    times = {name: utc(row[name]) if row[name] else None for name in _TIMES}
    scopes = tuple(Scope(name) for name in row["scopes"].split())
    return ServingKey(**{**own, **times, "scopes": scopes})
