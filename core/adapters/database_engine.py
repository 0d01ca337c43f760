"""How the database is spoken to: SQLite or PostgreSQL, and all that differs between them.

Everything above this module is the same on both. Why it is done in these ways is in
docs/adr/0034-postgresql.md.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping
from enum import IntEnum
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DataError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import NullPool

from core.errors import InvalidInputError, PilothouseError, SetupError, UnavailableError

#: How long a writer waits for the one before it.
WAIT_MS = 15_000
_POLL_S = 0.02
_POSTGRESQL = "postgresql+psycopg"
#: For libpq, unless the address says otherwise. Whoever does not answer, and whatever the
#: network has swallowed, is given up.
_PATIENCE = {
    "application_name": "pilothouse",
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}
#: For each session, whatever the database's own defaults are: texts are UTF-8, times are read
#: and compared in UTC, as SQLite holds them, and nobody who hangs keeps others out for ever.
_SESSION = f"""\
SET client_encoding = 'UTF8';
SET TIME ZONE 'UTC';
SET DateStyle = 'ISO, YMD';
SET lock_timeout = {WAIT_MS};
SET statement_timeout = 60000;
SET idle_in_transaction_session_timeout = 60000
"""
#: A migration takes as long as its tables are large, and whoever waits for it as long again.
_MIGRATION = """\
SET LOCAL statement_timeout = 0;
SET LOCAL lock_timeout = '10min'
"""
#: Others who use advisory locks in this database choose another first number.
_LOCKS = 0x50494C4F
#: SQLSTATEs of those who stood in each other's way.
_BUSY = frozenset({"40001", "40P01", "55P03", "57014"})


class Turn(IntEnum):
    """What one process at a time does."""

    WRITE_TRAIL = 1
    MIGRATE = 2


#: SQLite has one writer at a time; each of these makes it this one. The first, which changes
#: nothing, also in a transaction that has begun.
_SQLITE_TURNS = {
    Turn.WRITE_TRAIL: "UPDATE audit SET hash = hash WHERE 0 = 1",
    Turn.MIGRATE: "BEGIN IMMEDIATE",
}


def engine_of(url: str, **options: Any) -> sa.Engine:
    """The way to a database.

    Raises:
        SetupError: it is no address of SQLite or PostgreSQL.
    """
    parsed = _parsed(url)
    if parsed.get_backend_name() == "sqlite":
        if parsed.database:
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        engine = sa.create_engine(parsed, pool_pre_ping=True, **options)
        sa.event.listen(engine, "connect", _prepare_sqlite)
    else:
        patience = {name: value for name, value in _PATIENCE.items() if name not in parsed.query}
        engine = sa.create_engine(
            parsed,
            # A server that prepares statements may change tables under them, and a pooler
            # between it and us may not know them.
            connect_args={**patience, "prepare_threshold": None},
            # Whatever the server's own default is: who has waited for a turn sees what the
            # one before has written.
            isolation_level="READ COMMITTED",
            # A server that was restarted is noticed before anything is asked of it.
            pool_pre_ping=True,
            **options,
        )
        sa.event.listen(engine, "connect", _prepare_postgresql)
    sa.event.listen(engine, "before_cursor_execute", _clean, retval=True)
    return engine


def look_at(url: str) -> str:
    """Asks a database what it is, and says so; SQLite's file need not be there.

    Raises:
        SetupError: it is no address of SQLite or PostgreSQL.
        UnavailableError: the database does not answer, or cannot be used; says why.
    """
    parsed = _parsed(url)
    if parsed.get_backend_name() == "sqlite":
        return f"SQLite in {parsed.database}"
    place = f"{parsed.database or 'its default'} on {parsed.host or 'this machine'}"
    engine = engine_of(url, poolclass=NullPool)
    try:
        with engine.connect() as connection:
            require_utf8(connection)
            version = connection.exec_driver_sql("SHOW server_version").scalar_one()
    except DBAPIError as exc:
        # The driver names server, user and database here, never the password.
        said = " ".join(str(exc.orig).split())
        raise UnavailableError(f"PostgreSQL, database {place}, does not answer: {said}") from exc
    return f"PostgreSQL {version}, database {place}"


def same_place(one: str, other: str) -> bool:
    """Whether two addresses lead to the same tables, whoever is sent there."""
    if not one or not other:
        return False
    places = [
        (url.get_backend_name(), url.host, url.port or 5432, url.database, url.query)
        for url in (_parsed(one), _parsed(other))
    ]
    return places[0] == places[1]


def take_turn(connection: sa.Connection, turn: Turn) -> None:
    """Keeps others who ask for the same turn out until the transaction ends; readers go on."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(_SQLITE_TURNS[turn])
        return
    if turn is Turn.MIGRATE:
        connection.exec_driver_sql(_MIGRATION)
    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCKS, int(turn))))


def require_utf8(connection: sa.Connection) -> None:
    """Refuses a database that does not take every text.

    Raises:
        SetupError: it has another encoding than UTF-8.
    """
    if connection.dialect.name == "sqlite":
        return
    encoding = connection.exec_driver_sql("SHOW server_encoding").scalar_one()
    if encoding != "UTF8":
        raise SetupError(
            f"The database has the encoding {encoding}.",
            fix="Create it with ENCODING 'UTF8' TEMPLATE template0.",
        )


def told(dialect: str, failure: DBAPIError | PoolTimeoutError) -> PilothouseError:
    """What the driver says, in our words; the driver's own stay in the log."""
    if isinstance(failure, DataError):
        return InvalidInputError("A value is too long or too large for the database.")
    if getattr(getattr(failure, "orig", None), "sqlstate", None) in _BUSY:
        return UnavailableError(
            "The database is busy: others kept this waiting for too long.", fix="Try again."
        )
    fix = "Check the disk and the rights of PILOTHOUSE_HOME."
    if dialect != "sqlite":
        fix = "Check that PostgreSQL runs; `pilothouse doctor` says what it answers."
    return UnavailableError("The database does not answer.", fix=fix)


def storable(text: str) -> str:
    """Text that every database takes and gives back as it was."""
    return text.encode("utf-8", "replace").decode("utf-8").replace("\0", "�")


def _parsed(url: str) -> sa.URL:
    fix = "Give postgresql://USER:PASSWORD@HOST:PORT/NAME, with @, : and / in a password as "
    fix += "%40, %3A and %2F."
    try:
        parsed = sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError):
        # What was given may hold a password, also in parts that were taken for others.
        raise SetupError("The address of the database is not understood.", fix=fix) from None
    known = parsed.drivername in ("sqlite", _POSTGRESQL)
    if not known or "@" in (parsed.host or ""):
        raise SetupError("The address of the database is not understood.", fix=fix)
    return parsed


def _prepare_sqlite(connection: Any, _record: object) -> None:
    # What somebody has written past us need not be text; that must not stop who reads it.
    connection.text_factory = _text
    cursor = connection.cursor()
    # Readers never wait for the one writer, and a writer waits its turn.
    cursor.execute(f"PRAGMA busy_timeout={WAIT_MS}")
    _use_wal(cursor)
    cursor.close()


def _use_wal(cursor: sqlite3.Cursor) -> None:
    """Has the file keep a log of writes; it stays so, and asking again costs nothing.

    The first who asks needs the file alone, and SQLite refuses at once where others have just
    opened it: that timeout does not count here.
    """
    deadline = time.monotonic() + WAIT_MS / 1000
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(_POLL_S)
        else:
            return


def _text(stored: bytes) -> str:
    return stored.decode("utf-8", "replace")


def _prepare_postgresql(connection: Any, _record: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_SESSION)
    # What is set in a transaction that is rolled back is set no more.
    connection.commit()


def _clean(
    _connection: sa.Connection,
    _cursor: object,
    statement: str,
    parameters: Any,
    _context: object,
    _many: bool,
) -> tuple[str, Any]:
    """Gives both databases the same texts: SQLite takes some that PostgreSQL refuses."""
    return statement, _cleaned(parameters)


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, Mapping):
        return {name: _cleaned(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_cleaned(one) for one in value)
    return value
