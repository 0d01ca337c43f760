"""Pilothouse's own database: its transactions, and the runs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from sqlalchemy.exc import DatabaseError, IntegrityError

from core.adapters.database_tables import ACTIVE, RUNS, Also, run_from, run_values
from core.domain import Run, RunStatus
from core.errors import ConflictError, NotFoundError, UnavailableError

MIGRATIONS = Path(__file__).parent / "migrations"
BUSY_TIMEOUT_MS = 15_000
#: Alembic keeps the migration in progress in a global: threads of a process take turns.
_MIGRATING = threading.Lock()


class Database:
    """The one door to the database. Values in, values out."""

    def __init__(self, url: str) -> None:
        if url.startswith("sqlite:///"):
            Path(url.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
        self._engine = sa.create_engine(url, pool_pre_ping=True)
        if self._engine.dialect.name == "sqlite":
            sa.event.listen(self._engine, "connect", _sqlite_pragmas)

    def migrate(self) -> None:
        """Brings the schema to this release's; several processes may ask at once."""
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        with _MIGRATING, self.begin() as connection:
            if self._engine.dialect.name == "sqlite":
                # The panel and the worker start together: the second waits for the first
                # and finds its work done.
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    def close(self) -> None:
        """Gives every connection back."""
        self._engine.dispose()

    @contextmanager
    def begin(self, also: Also | None = None) -> Iterator[sa.Connection]:
        """One transaction: wholly written or not at all, with what ``also`` writes first.

        Raises:
            UnavailableError: the database does not answer.
        """
        try:
            with self._engine.begin() as connection:
                if also is not None:
                    also(connection)
                yield connection
        except IntegrityError:
            raise
        except DatabaseError as exc:
            raise UnavailableError(
                "The database does not answer.",
                fix="Check the disk and the rights of PILOTHOUSE_HOME.",
            ) from exc

    # Runs

    def add_run(self, run: Run, also: Also | None = None) -> None:
        """Records a new run, and with it what ``also`` writes.

        Raises:
            ConflictError: the problem has an active run.
        """
        try:
            with self.begin(also) as connection:
                connection.execute(RUNS.insert().values(**run_values(run), considered=False))
        except IntegrityError as exc:
            raise ConflictError(
                f"A run of {run.problem} is active already.",
                fix="Wait for it to end or cancel it.",
            ) from exc

    def save_run(self, run: Run) -> None:
        """Writes what has changed of a run."""
        with self.begin() as connection:
            connection.execute(RUNS.update().where(RUNS.c.id == run.id).values(**run_values(run)))

    def save_active_run(self, run: Run) -> bool:
        """Writes what has changed of a run if it is still active; says whether it was."""
        active = (RUNS.c.id == run.id) & ACTIVE
        with self.begin() as connection:
            changed = connection.execute(RUNS.update().where(active).values(**run_values(run)))
        return changed.rowcount == 1

    def run(self, run_id: str) -> Run:
        """Reads one run.

        Raises:
            NotFoundError: there is no such run.
        """
        with self.begin() as connection:
            row = connection.execute(RUNS.select().where(RUNS.c.id == run_id)).mappings().first()
        if row is None:
            raise NotFoundError(
                f"There is no run {run_id!r}.", fix="`pilothouse runs list` shows them."
            )
        return run_from(row)

    def runs(self, problem: str | None, limit: int) -> tuple[Run, ...]:
        """Runs, newest first."""
        query = RUNS.select().order_by(RUNS.c.started_at.desc()).limit(limit)
        return self._runs(query if problem is None else query.where(RUNS.c.problem == problem))

    def active_runs(self) -> tuple[Run, ...]:
        """Runs that are queued or running."""
        return self._runs(RUNS.select().where(ACTIVE))

    def unconsidered_runs(self) -> tuple[Run, ...]:
        """Finished runs whose version no gate has looked at yet, oldest first."""
        finished = (RUNS.c.status == RunStatus.FINISHED.value) & ~RUNS.c.considered
        return self._runs(RUNS.select().where(finished).order_by(RUNS.c.started_at))

    def _runs(self, query: sa.Select[Any]) -> tuple[Run, ...]:
        with self.begin() as connection:
            return tuple(run_from(row) for row in connection.execute(query).mappings())


def _sqlite_pragmas(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    # Readers never wait for the one writer, and a writer waits its turn.
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
    cursor.close()
