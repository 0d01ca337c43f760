"""Pilothouse's database: what it keeps, what it refuses, who wins a race."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from core.adapters.database import Database
from core.adapters.database_alerts import ALERTS
from core.adapters.database_audit import AUDIT
from core.adapters.database_batches import BATCHES
from core.adapters.database_checks import CHECKS
from core.adapters.database_decisions import DecisionRecords
from core.adapters.database_tables import METADATA
from core.domain import Progress, Run, RunStatus, Stage
from core.errors import ConflictError, NotFoundError, UnavailableError
from core.promotion.change import Change
from tests.unit.core_fakes import make_trail
from tests.unit.races import race
from tests.unit.stores import address_in

NOW = datetime(2026, 1, 31, 8, 15, 30, 123456, tzinfo=UTC)
RUN = Run("r1", "plums", RunStatus.QUEUED, "2c-2g", "ann", NOW)


def _url(folder: Path) -> str:
    return address_in(folder / "deep")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(_url(tmp_path))
    made.migrate()
    yield made
    made.close()


def _minutes_later(run: Run, minutes: int, **changed: object) -> Run:
    return replace(run, started_at=NOW + timedelta(minutes=minutes), **changed)


class TestSchema:
    def test_migrating_again_changes_nothing(self, database: Database) -> None:
        database.add_run(RUN)
        database.migrate()
        assert database.runs(None, 10) == (RUN,)

    def test_the_migrations_give_the_tables_of_the_code(
        self, database: Database, tmp_path: Path
    ) -> None:
        assert {ALERTS, AUDIT, BATCHES, CHECKS} <= {*METADATA.tables.values()}
        engine = sa.create_engine(_url(tmp_path))
        with engine.connect() as connection:
            assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
        engine.dispose()

    def test_threads_may_migrate_at_the_same_time(self, tmp_path: Path) -> None:
        outcomes = race(_url(tmp_path), lambda database, _: database.migrate())
        assert outcomes == ["done", "done"]


class TestSqlite:
    def test_a_second_process_waits_for_the_first_ones_migration(
        self, database: Database, tmp_path: Path
    ) -> None:
        with sqlite3.connect(tmp_path / "deep" / "pilothouse.db") as made:
            schema = [line for line in made.iterdump() if line.startswith(("CREATE", "INSERT"))]
        made.close()
        other = sqlite3.connect(tmp_path / "new.db", isolation_level=None)
        other.execute("PRAGMA journal_mode=WAL")
        other.execute("BEGIN IMMEDIATE")
        for statement in schema:
            other.execute(statement)
        second = Database(f"sqlite:///{tmp_path / 'new.db'}")
        waiting = threading.Thread(target=second.migrate)
        waiting.start()
        waiting.join(0.2)
        assert waiting.is_alive()
        other.execute("COMMIT")
        other.close()
        waiting.join()
        second.add_run(RUN)
        assert second.active_runs() == (RUN,)
        second.close()

    def test_a_database_that_cannot_be_opened_is_unavailable(self, tmp_path: Path) -> None:
        broken = Database(f"sqlite:///{tmp_path}")
        with pytest.raises(UnavailableError):
            broken.active_runs()


class TestRuns:
    def test_a_run_is_read_back_whole(self, database: Database) -> None:
        database.add_run(RUN)
        full = replace(
            RUN,
            status=RunStatus.FAILED,
            ended_at=NOW + timedelta(minutes=5),
            progress=Progress(Stage.TRAIN, 41, "trial 3"),
            error="It broke.",
            model_version=7,
        )
        database.save_active_run(full)
        assert database.run("r1") == full

    def test_an_unknown_run_is_not_found(self, database: Database) -> None:
        with pytest.raises(NotFoundError):
            database.run("nobody")

    def test_a_problem_has_one_active_run(self, database: Database) -> None:
        database.add_run(RUN)
        for status in (RunStatus.QUEUED, RunStatus.RUNNING):
            with pytest.raises(ConflictError):
                database.add_run(replace(RUN, id="r2", status=status))
        database.add_run(replace(RUN, id="pears", problem="pears"))
        assert {run.id for run in database.active_runs()} == {"r1", "pears"}
        database.save_active_run(replace(RUN, status=RunStatus.CANCELLED))
        database.add_run(replace(RUN, id="r2"))
        assert {run.id for run in database.active_runs()} == {"r2", "pears"}

    def test_of_two_who_start_at_once_one_wins(self, database: Database, tmp_path: Path) -> None:
        for problem in ("a", "b", "c"):
            outcomes = race(
                _url(tmp_path),
                lambda own, index, name=problem: own.add_run(
                    replace(RUN, id=f"{name}{index}", problem=name)
                ),
            )
            assert sorted(outcomes) == ["ConflictError", "done"]
            assert len(database.runs(problem, 10)) == 1

    def test_runs_are_listed_newest_first(self, database: Database) -> None:
        for minutes, problem in ((0, "plums"), (2, "plums"), (1, "pears")):
            run = _minutes_later(RUN, minutes, id=str(minutes), problem=problem)
            database.add_run(replace(run, status=RunStatus.FINISHED))
        assert [run.id for run in database.runs(None, 10)] == ["2", "1", "0"]
        assert [run.id for run in database.runs(None, 2)] == ["2", "1"]
        assert [run.id for run in database.runs("plums", 10)] == ["2", "0"]
        assert database.runs("nobody", 10) == ()

    def test_finished_runs_wait_for_the_gates_oldest_first(
        self, database: Database, tmp_path: Path
    ) -> None:
        for minutes, status in (
            (2, RunStatus.FINISHED),
            (1, RunStatus.FINISHED),
            (3, RunStatus.FAILED),
            (4, RunStatus.RUNNING),
        ):
            database.add_run(_minutes_later(RUN, minutes, id=str(minutes), status=status))
        assert [run.id for run in database.unconsidered_runs()] == ["1", "2"]
        records = DecisionRecords(database, make_trail(database, tmp_path))
        records.decide(Change("plums", (), considered_run="1"))
        database.save_active_run(replace(database.run("1"), error="a late word"))
        assert [run.id for run in database.unconsidered_runs()] == ["2"]
