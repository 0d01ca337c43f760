"""Copies of databases that are in use: SQLite by its online backup, and no other."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from alembic.config import Config
from alembic.script import ScriptDirectory

from core.adapters.database import MIGRATIONS
from core.errors import SetupError, UnavailableError

_SQLITE = "sqlite:///"
#: A writer keeps the lock for milliseconds; who keeps it for so long is stuck.
PATIENCE_S = 60.0
_MOST_TOLD = 3
#: Columns of MLflow's database that say where artifacts lie.
_ARTIFACT_COLUMNS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "storage_location"),
    ("model_versions", "source"),
)
#: Locations behind MLflow's own server, wherever its files lie, and references to a model.
_PROXIED = ("mlflow-artifacts:", "models:", "runs:")


def sqlite_file(url: str) -> Path:
    """The file of Pilothouse's database.

    Raises:
        SetupError: the database is none of SQLite.
    """
    if not url.startswith(_SQLITE):
        raise SetupError(
            "The database is not a file of SQLite, and backups hold no other.",
            fix="Back it up with its own tools; docs/operations.md says in which order.",
        )
    return Path(url.removeprefix(_SQLITE))


def copy_sqlite(source: Path, to: Path, name: str, patience_s: float = PATIENCE_S) -> None:
    """Copies a database as it is at one moment, whoever writes to it meanwhile.

    In one step: a copy in several begins anew whenever another process writes in between.
    Where the database has a write-ahead log, writers do not notice; where it has none, as
    MLflow's, they wait for the copy, which is shorter than what they wait for anyway.

    Args:
        source: the database.
        to: a new file.
        name: what the database is called in messages.
        patience_s: how long another process may keep it locked.

    Raises:
        UnavailableError: it cannot be read or is damaged, or the copy cannot be written.
    """
    began = time.monotonic()

    def give_up(status: int, _remaining: int, _total: int) -> None:
        if status != sqlite3.SQLITE_DONE and time.monotonic() - began > patience_s:
            raise UnavailableError(
                f"{name} was locked for {patience_s:.0f} s.",
                fix="Find the process that holds it, then try again.",
            )

    try:
        with (
            closing(_opened(source, "rw")) as database,
            closing(sqlite3.connect(to)) as copy,
        ):
            database.backup(copy, progress=give_up)
            # All of it in one file; whoever uses it next chooses anew.
            copy.execute("PRAGMA journal_mode=DELETE")
            found = copy.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.Error as exc:
        raise UnavailableError(
            f"{name} cannot be copied ({exc}).", fix=f"Check {source}, the disk and its rights."
        ) from exc
    if found != "ok":
        raise UnavailableError(
            f"{name} is damaged ({found.splitlines()[0]}).", fix="Restore an earlier backup."
        )


def revision_of(database: Path) -> str:
    """The last migration of Pilothouse's database in a file; empty where there was none.

    Raises:
        UnavailableError: the file is no database.
    """
    return next(iter(_read(database, "SELECT version_num FROM alembic_version")), "")


def known_revisions() -> frozenset[str]:
    """Every migration of this release."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    scripts = ScriptDirectory.from_config(config)
    return frozenset(script.revision for script in scripts.walk_revisions())


def artifacts_elsewhere(mlflow_database: Path) -> tuple[str, ...]:
    """Where MLflow says that artifacts lie, if not behind its own server; a few examples.

    Raises:
        UnavailableError: the file is no database.
    """
    found: dict[str, None] = {}
    for table, column in _ARTIFACT_COLUMNS:
        unlike = " AND ".join(f"{column} NOT LIKE '{scheme}%'" for scheme in _PROXIED)
        query = f"SELECT {column} FROM {table} WHERE {unlike} LIMIT {_MOST_TOLD}"  # noqa: S608
        found |= dict.fromkeys(_read(mlflow_database, query))
    return tuple(found)[:_MOST_TOLD]


def _read(database: Path, query: str) -> tuple[str, ...]:
    """The first column of what is asked; nothing where there is no such table or column.

    Raises:
        UnavailableError: the file is no database.
    """
    try:
        with closing(_opened(database, "ro")) as connection:
            return tuple(row[0] for row in connection.execute(query) if row[0])
    except sqlite3.Error as exc:
        if "no such" in str(exc):
            return ()
        raise UnavailableError(
            f"The database {database.name} cannot be read ({exc}).", fix="Use another backup."
        ) from exc


def _opened(database: Path, mode: str) -> sqlite3.Connection:
    address = f"file:{quote(str(database))}?mode={mode}"
    return sqlite3.connect(address, uri=True, timeout=PATIENCE_S)
