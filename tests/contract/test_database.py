"""The database on SQLite and on PostgreSQL: migrations, many at once, and odd values.

What records keep is in ``tests/unit`` on SQLite, and in ``on_postgresql`` once more.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from core.adapters.database import Database
from core.adapters.database_accounts import AccountRecords
from core.adapters.database_alerts import AlertRecords
from core.adapters.database_audit import AuditRecords
from core.adapters.database_batches import BatchRecords
from core.adapters.database_checks import CheckRecords
from core.adapters.database_decisions import DecisionRecords
from core.adapters.database_engine import engine_of
from core.adapters.database_keys import KeyRecords
from core.adapters.database_rollouts import RolloutRecords
from core.adapters.database_tables import METADATA
from core.domain import Run, RunStatus
from core.errors import SetupError
from core.promotion.audit import Action
from core.settings_databases import sqlite_address
from tests.postgres import PostgresServer
from tests.unit.core_fakes import make_trail

NOW = datetime(2026, 1, 31, 8, 15, 30, 123456, tzinfo=UTC)
RUN = Run("r1", "plums", RunStatus.QUEUED, "2c-2g", "ann", NOW)
#: What the code takes only certain values for; everything else is made from the type.
WORDS = {
    "runs.status": "finished",
    "runs.stage": None,
    "promotion_requests.status": "rejected",
    "checks.status": "finished",
    "checks.level": None,
    "alerts.status": "closed",
    "alerts.kind": "drift",
    "alerts.severity": "critical",
    "deliveries.event": "raised",
    "accounts.role": "viewer",
    "accounts.source": "account",
    "serving_keys.scopes": "predict",
    "audit.action": "run started",
    "audit.outcome": "done",
}
LISTS = ("gates", "passed_over", "dropped", "findings", "details", "told")


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Address of a database without a table."""
    if request.param == "sqlite":
        yield sqlite_address(tmp_path / "empty.db")
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    address = server.create()
    yield address
    server.drop(address)


@pytest.fixture
def database(empty: str) -> Iterator[Database]:
    made = Database(empty)
    made.migrate()
    yield made
    made.close()


def _value(table: str, column: sa.Column[object]) -> object:
    """Something of a column's type that the code can read."""
    if f"{table}.{column.name}" in WORDS:
        return WORDS[f"{table}.{column.name}"]
    if column.name in LISTS:
        return "[]"
    if isinstance(column.type, sa.DateTime):
        return NOW
    if isinstance(column.type, sa.Boolean):
        return True
    if isinstance(column.type, sa.Integer):
        return 7
    if isinstance(column.type, sa.Float):
        return 1.5
    return {"problem": "plums"}.get(column.name, f"{table[:9]} {column.name}")


def _fill(address: str) -> dict[str, dict[str, object]]:
    """Writes a row into every table there is, past the code; what was written by table."""
    engine, found = engine_of(address), sa.MetaData()
    written = {}
    with engine.begin() as connection:
        found.reflect(connection)
        for name, table in found.tables.items():
            if name != "alembic_version":
                written[name] = {one.name: _value(name, one) for one in table.columns}
                connection.execute(table.insert().values(**written[name]))
    engine.dispose()
    return written


def _read(address: str) -> dict[str, dict[str, object]]:
    """The one row of every table, times in UTC."""
    engine, found = engine_of(address), sa.MetaData()
    rows = {}
    with engine.begin() as connection:
        found.reflect(connection)
        for name, table in found.tables.items():
            row = connection.execute(table.select()).mappings().first()
            rows[name] = {
                key: value.replace(tzinfo=UTC) if isinstance(value, datetime) else value
                for key, value in (row or {}).items()
            }
    engine.dispose()
    return rows


class TestMigrations:
    def test_from_nothing_they_give_the_tables_of_the_code(
        self, database: Database, empty: str
    ) -> None:
        engine = engine_of(empty)
        with engine.connect() as connection:
            assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
        engine.dispose()

    @pytest.mark.parametrize("before", [f"{number:04}" for number in range(1, 8)])
    def test_what_an_earlier_release_has_written_is_kept(
        self, empty: str, before: str, tmp_path: Path
    ) -> None:
        database = Database(empty)
        database.migrate(before)
        written = _fill(empty)
        database.migrate()
        kept = _read(empty)
        for table, row in written.items():
            assert {name: kept[table][name] for name in row} == row
        # And the code can read it, with what later releases have added.
        decisions = DecisionRecords(database, make_trail(database, tmp_path))
        (run,) = database.runs("plums", 10)
        (promotion,) = decisions.promotions("plums")
        (request,) = decisions.requests("plums")
        assert (run.started_at, promotion.since, request.requested_at) == (NOW, NOW, NOW)
        assert promotion.live_at == NOW
        later = {
            "batches": BatchRecords(database).list("plums", 10),
            "checks": CheckRecords(database).list("plums", 10),
            "alerts": AlertRecords(database).list("plums"),
            "audit": AuditRecords(database, b"key").list(10),
            "accounts": AccountRecords(database).list(),
            "serving_keys": KeyRecords(database).list(None),
            "rollouts": RolloutRecords(database).list(),
        }
        assert {name for name, rows in later.items() if rows} == set(later) & set(written)
        # The indexes are there as well.
        again = replace(RUN, id="r2")
        database.add_run(again)
        assert database.active_runs() == (again,)
        database.close()

    def test_many_processes_may_migrate_at_once(self, empty: str) -> None:
        fork = multiprocessing.get_context("fork")
        starting = fork.Barrier(4)
        processes = [fork.Process(target=_migrate, args=(empty, starting)) for _ in range(4)]
        for one in processes:
            one.start()
        for one in processes:
            one.join()
        assert [one.exitcode for one in processes] == [0] * 4
        database = Database(empty)
        database.add_run(RUN)
        database.close()

    def test_a_database_of_something_else_is_refused(self, database: Database) -> None:
        with database.begin() as connection:
            connection.execute(sa.text("UPDATE alembic_version SET version_num = 'acf3f17fdcc7'"))
        with pytest.raises(SetupError, match="later release, or belongs to something else"):
            database.migrate()


def _migrate(address: str, starting: object) -> None:
    database = Database(address)
    starting.wait()  # type: ignore[attr-defined]
    database.migrate()
    database.close()


class TestValues:
    def test_any_text_is_kept_as_far_as_every_database_can(self, database: Database) -> None:
        database.add_run(replace(RUN, error="a\0b \udcff 🍑 ' \" % %s :x \r\n"))
        assert database.run("r1").error == "a�b ? 🍑 ' \" % %s :x \r\n"

    def test_a_text_that_was_cleaned_is_found_by_what_was_given(self, database: Database) -> None:
        database.add_run(replace(RUN, id="r\0"))
        assert database.run("r\0").problem == "plums"

    def test_times_come_back_in_utc(self, database: Database) -> None:
        database.add_run(RUN)
        read = database.run("r1").started_at
        assert (read, read.utcoffset()) == (NOW, timedelta(0))

    def test_names_are_listed_in_one_order(self, database: Database, tmp_path: Path) -> None:
        trail = make_trail(database, tmp_path)
        for actor in ("bo", "Bea", "ánna", "anna", "_x", "9"):
            trail.record(Action.RUN_STARTED, actor=actor, object="o")
        assert trail.actors() == ("9", "Bea", "_x", "anna", "bo", "ánna")
