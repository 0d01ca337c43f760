"""Pilothouse's own database: its transactions, and the runs."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from core.adapters.database_engine import Turn, engine_of, require_utf8, take_turn, told
from core.adapters.database_tables import ACTIVE, RUNS, Also, run_from, run_values
from core.domain import Run, RunStatus
from core.errors import ConflictError, NotFoundError, SetupError

MIGRATIONS = Path(__file__).parent / "migrations"
#: Alembic keeps the migration in progress in a global: threads of a process take turns.
_MIGRATING = threading.Lock()


class Database:
    """The one door to the database. Values in, values out."""

    def __init__(self, url: str) -> None:
        self._engine = engine_of(url)
        # Also where nobody closes it, such as at the end of a command: a server notes each
        # connection that is dropped without a word.
        weakref.finalize(self, self._engine.dispose)

    def migrate(self, revision: str = "head") -> None:
        """Brings the schema to this release's; several processes may ask at once.

        Raises:
            SetupError: the database is of a later release, of something else, or has an
                encoding other than UTF-8.
            UnavailableError: the database does not answer.
        """
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        with _MIGRATING, self.begin() as connection:
            require_utf8(connection)
            # The panel and the worker start together: the second waits for the first and
            # finds its work done.
            take_turn(connection, Turn.MIGRATE)
            config.attributes["connection"] = connection
            try:
                command.upgrade(config, revision)
            except CommandError as exc:
                raise SetupError(
                    "The database was made by a later release, or belongs to something else.",
                    fix="Run that release, or give Pilothouse a database of its own.",
                ) from exc

    def close(self) -> None:
        """Gives every connection back."""
        self._engine.dispose()

    @contextmanager
    def begin(self, also: Also | None = None) -> Iterator[sa.Connection]:
        """One transaction: wholly written or not at all, with what ``also`` writes first.

        Raises:
            InvalidInputError: a value does not fit into its column.
            UnavailableError: the database does not answer, or others kept it busy.
        """
        try:
            with self._engine.begin() as connection:
                if also is not None:
                    also(connection)
                yield connection
        except IntegrityError:
            raise
        except (DBAPIError, PoolTimeoutError) as exc:
            raise told(self._engine.dialect.name, exc) from exc

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
