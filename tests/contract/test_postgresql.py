"""What only PostgreSQL does: it is elsewhere, goes away, has defaults, and makes others wait."""

from __future__ import annotations

import io
import logging
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from core import cli, worker
from core.adapters import database_engine
from core.adapters.database import Database
from core.adapters.database_audit import AUDIT
from core.adapters.database_engine import look_at
from core.adapters.database_tables import RUNS
from core.domain import Run, RunStatus
from core.errors import InvalidInputError, PilothouseError, SetupError, UnavailableError
from core.promotion.audit import Action
from core.promotion.audit_verify import Kind
from core.services import checks, doctor
from core.settings import Settings, load_settings, variable_of
from tests.planted import plant
from tests.postgres import MIGRATED, PostgresServer, address_of
from tests.ray_head import free_ports, free_published_ports
from tests.unit.core_fakes import make_trail
from tests.unit.races import race

NOW = datetime(2026, 1, 31, 8, 15, 30, 123456, tzinfo=UTC)
RUN = Run("r1", "plums", RunStatus.QUEUED, "2c-2g", "ann", NOW)
WRONG = "Wr0ng-" + "x" * 8


@pytest.fixture
def address(postgres: PostgresServer) -> Iterator[str]:
    """Address of a database with the tables of this release."""
    made = postgres.create(like=MIGRATED)
    yield made
    postgres.drop(made)


@pytest.fixture
def database(address: str) -> Iterator[Database]:
    made = Database(address)
    yield made
    made.close()


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """What would be logged at level DEBUG by whatever runs in this process."""
    text, root = io.StringIO(), logging.getLogger()
    handler, level = logging.StreamHandler(text), root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield text
    root.setLevel(level)
    root.removeHandler(handler)


def _name(address: str) -> str:
    return address.rpartition("/")[2]


def _at_the_same_time(*acts: Callable[[], object]) -> list[str]:
    """How each fared, ``done`` or what was raised."""
    outcomes: list[str] = []

    def attempt(act: Callable[[], object]) -> None:
        try:
            act()
            outcomes.append("done")
        except PilothouseError as exc:
            outcomes.append(exc.message)

    threads = [threading.Thread(target=attempt, args=(act,)) for act in acts]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    return sorted(outcomes)


class TestAbsent:
    """One sentence, in seconds, and never the password."""

    @pytest.mark.parametrize("what", ["password", "user", "database", "server"])
    def test_why_it_cannot_be_used_is_said(self, postgres: PostgresServer, what: str) -> None:
        (nobody,) = free_ports(1)
        url = {
            "password": postgres.url(MIGRATED, password=WRONG),
            "user": postgres.url(MIGRATED, user="nobody"),
            "database": postgres.url("nowhere"),
            "server": f"postgresql://us:{WRONG}@127.0.0.1:{nobody}/x",
        }[what]
        said = {
            "password": "password authentication failed",
            "user": "password authentication failed",
            "database": 'database "nowhere" does not exist',
            "server": "Connection refused",
        }[what]
        with pytest.raises(UnavailableError, match=said) as refused:
            look_at(address_of(url))
        database = Database(address_of(url))
        with pytest.raises(UnavailableError, match="does not answer") as unread:
            database.active_runs()
        database.close()
        for failure in (refused.value, unread.value):
            trace = "".join(traceback.format_exception(failure))
            assert "OperationalError" in trace
            assert WRONG not in trace
            assert postgres.password not in trace
            assert quote(postgres.password, safe="") not in trace

    def test_who_takes_a_connection_and_says_nothing_is_given_up(self) -> None:
        with closing(socket.create_server(("127.0.0.1", 0))) as silent:
            port = silent.getsockname()[1]
            # An address may say how patient to be.
            url = f"postgresql://us:pw@127.0.0.1:{port}/x?connect_timeout=2"
            database = Database(address_of(url))
            begun = time.monotonic()
            with pytest.raises(UnavailableError):
                database.active_runs()
            assert time.monotonic() - begun < 10
            database.close()

    def test_doctor_and_start_look_at_it(self, postgres: PostgresServer, address: str) -> None:
        url = SecretStr(postgres.url(_name(address)))
        good = Settings(database_url=url)
        found = doctor.database_checks(good)
        assert [check.passed for check in found] == [True] * 3
        assert f"database {_name(address)} on 127.0.0.1" in found[0].found
        both = doctor.database_checks(Settings(database_url=url, mlflow_database_url=url))
        with pytest.raises(SetupError, match="given the same database"):
            checks.require(both)
        gone = Settings(mlflow_database_url=SecretStr(postgres.url("nowhere")))
        with pytest.raises(SetupError, match=r'MLflow.s database failed.*"nowhere" does not exist'):
            checks.require(doctor.database_checks(gone))
        wrong = Settings(database_url=SecretStr("mysql://x"))
        with pytest.raises(SetupError, match="no address of a database"):
            checks.require(doctor.database_checks(wrong))

    def test_a_database_that_cannot_hold_every_text_is_refused(
        self, postgres: PostgresServer
    ) -> None:
        latin = postgres.create(ENCODING="LATIN1", LOCALE="C")
        for use in (look_at, lambda address: Database(address).migrate()):
            with pytest.raises(SetupError, match="encoding LATIN1"):
                use(latin)
        postgres.drop(latin)

    # It would wait for ever for a server that never comes.
    @pytest.mark.timeout(60)
    def test_the_worker_waits_for_it(
        self, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        address = postgres.create()
        (port,) = free_ports(1)
        monkeypatch.setattr(worker, "BEAT_S", 0.05)
        elsewhere = postgres.url(_name(address)).replace(f":{postgres.port}/", f":{port}/")
        asked: list[str] = []
        built: Callable[[str], Database] = Database

        def as_it_comes_up(url: str) -> Database:
            asked.append(url)
            return built(url if len(asked) < 3 else address)

        monkeypatch.setattr("core.bootstrap_backup.Database", as_it_comes_up)
        settings = Settings(home=tmp_path, database_url=SecretStr(elsewhere))
        made = worker.connected(settings, threading.Event())
        assert made is not None
        assert made.database.active_runs() == ()
        assert len(asked) == 3
        made.database.close()
        stopped = threading.Event()
        stopped.set()
        assert worker.connected(settings, stopped) is None
        postgres.drop(address)


class TestRestart:
    def test_the_first_use_after_it_finds_the_server_again(
        self, postgres: PostgresServer, database: Database
    ) -> None:
        database.add_run(RUN)
        postgres.stop()
        with pytest.raises(UnavailableError, match="does not answer"):
            database.active_runs()
        postgres.start()
        assert database.active_runs() == (RUN,)

    def test_one_that_nobody_saw_is_not_noticed(
        self, postgres: PostgresServer, database: Database
    ) -> None:
        database.add_run(RUN)
        postgres.stop()
        postgres.start()
        assert database.active_runs() == (RUN,)

    def test_what_was_not_committed_is_gone(
        self, postgres: PostgresServer, database: Database, address: str
    ) -> None:
        def act() -> None:
            with database.begin() as connection:
                connection.execute(RUNS.update().values(problem="pears"))
                postgres.run(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    f"WHERE datname = '{_name(address)}'"
                )
                connection.execute(RUNS.update().values(problem="apples"))

        database.add_run(RUN)
        with pytest.raises(UnavailableError, match="does not answer"):
            act()
        assert database.active_runs() == (RUN,)


class TestDefaults:
    @pytest.mark.parametrize(
        "default",
        [
            "TimeZone = 'Asia/Tokyo'",
            "DateStyle = 'German, DMY'",
            "default_transaction_isolation = 'serializable'",
            "lock_timeout = 1",
            "standard_conforming_strings = off",
            "client_encoding = 'LATIN1'",
        ],
    )
    def test_those_of_a_database_change_nothing(
        self, postgres: PostgresServer, address: str, tmp_path: Path, default: str
    ) -> None:
        postgres.run(f"ALTER DATABASE {_name(address)} SET {default}")
        odd = replace(RUN, error="\\x41 \\' ä🍑")

        def act(own: Database, index: int) -> None:
            trail = make_trail(own, tmp_path)
            for _ in range(10):
                trail.record(Action.RUN_STARTED, actor=str(index), object="run", at=NOW)

        database = Database(address)
        database.add_run(odd)
        (read,) = database.active_runs()
        assert (read, read.started_at.utcoffset()) == (odd, timedelta(0))
        make_trail(database, tmp_path)
        assert race(address, act) == ["done", "done"]
        found = make_trail(database, tmp_path).verify()
        assert (found.is_whole, found.rows) == (True, 20)
        database.close()


class TestWaiting:
    @pytest.fixture(autouse=True)
    def _impatient(self, monkeypatch: pytest.MonkeyPatch) -> None:
        session = database_engine._SESSION
        short = session.replace("= 15000", "= 300").replace("= 60000", "= 600")
        assert short != session
        monkeypatch.setattr(database_engine, "_SESSION", short)

    def test_who_waits_too_long_for_a_turn_is_told(
        self, database: Database, address: str, tmp_path: Path
    ) -> None:
        trail = make_trail(database, tmp_path)
        other = Database(address)
        with database.begin() as connection:
            trail.append_in(connection, trail.entry(Action.PROMOTED, actor="ann", object="v1"))
            with pytest.raises(UnavailableError, match="busy"):
                make_trail(other, tmp_path).record(Action.PROMOTED, actor="bob", object="v2")
            # Readers go on.
            assert other.active_runs() == ()
        other.close()
        assert [row.entry.actor for row in trail.list(None)] == ["ann"]

    def test_who_takes_a_turn_and_hangs_loses_it(
        self, database: Database, address: str, tmp_path: Path
    ) -> None:
        trail = make_trail(database, tmp_path)
        other = Database(address)

        def hang() -> None:
            with database.begin() as connection:
                trail.append_in(connection, trail.entry(Action.PROMOTED, actor="ann", object="v1"))
                time.sleep(1.2)

        with pytest.raises(UnavailableError):
            hang()
        make_trail(other, tmp_path).record(Action.PROMOTED, actor="bob", object="v2")
        other.close()
        assert [row.entry.actor for row in trail.list(None)] == ["bob"]

    def test_a_statement_without_an_end_is_ended(self, database: Database) -> None:
        with pytest.raises(UnavailableError, match="busy"):
            with database.begin() as connection:
                connection.execute(sa.text("SELECT pg_sleep(60)"))

    def test_a_migration_may_take_longer(self, postgres: PostgresServer) -> None:
        address = postgres.create()
        first, second = Database(address), Database(address)
        with first.begin() as connection:
            database_engine.take_turn(connection, database_engine.Turn.MIGRATE)
            waiting = threading.Thread(target=second.migrate)
            waiting.start()
            # Longer than others wait for a lock.
            waiting.join(0.45)
            assert waiting.is_alive()
        waiting.join()
        second.add_run(RUN)
        for one in (first, second):
            one.close()
        postgres.drop(address)

    def test_of_two_who_wait_for_each_other_one_is_told(
        self, database: Database, address: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(
            database_engine, "_SESSION", "SET lock_timeout = 0; SET deadlock_timeout = 100"
        )
        for name in ("a", "b"):
            database.add_run(replace(RUN, id=name, problem=name))
        both = threading.Barrier(2)

        def act(first: str, second: str) -> None:
            own = Database(address)
            with own.begin() as connection:
                connection.execute(RUNS.update().where(RUNS.c.id == first).values(message=first))
                both.wait()
                connection.execute(RUNS.update().where(RUNS.c.id == second).values(message=first))
            own.close()

        outcomes = _at_the_same_time(lambda: act("a", "b"), lambda: act("b", "a"))
        assert outcomes[1] == "done"
        assert "busy" in outcomes[0]


class TestValues:
    def test_what_is_too_long_is_an_error_of_who_gave_it(self, database: Database) -> None:
        with pytest.raises(InvalidInputError, match="too long or too large"):
            database.add_run(replace(RUN, profile="c" * 33))
        assert database.active_runs() == ()

    def test_a_key_that_is_too_long_is_not_found(self, database: Database) -> None:
        with pytest.raises(PilothouseError, match="no run"):
            database.run("r" * 5000)


class TestTrail:
    @pytest.mark.parametrize(
        ("statement", "found"),
        [
            ("UPDATE audit SET actor = 'eve' WHERE sequence = 3", Kind.EDITED),
            ("UPDATE audit SET at = 'infinity' WHERE sequence = 3", Kind.EDITED),
            ("UPDATE audit SET at = '4713-01-01 BC' WHERE sequence = 3", Kind.EDITED),
            ("UPDATE audit SET at = at + interval '1 microsecond' WHERE sequence = 3", Kind.EDITED),
            ("DELETE FROM audit WHERE sequence = 3", Kind.REMOVED),
        ],
    )
    def test_what_somebody_does_to_a_row_is_found(
        self,
        postgres: PostgresServer,
        database: Database,
        address: str,
        tmp_path: Path,
        statement: str,
        found: Kind,
    ) -> None:
        trail = make_trail(database, tmp_path)
        for _ in range(5):
            trail.record(Action.RUN_STARTED, actor="ann", object="run")
        assert trail.verify().is_whole
        postgres.run(statement, _name(address))
        assert (found, 3) in [(one.kind, one.sequence) for one in trail.verify().findings]

    def test_rows_may_only_be_added_by_who_may_not_change_them(
        self, postgres: PostgresServer, address: str, tmp_path: Path
    ) -> None:
        """Writers of the trail lock no table, so they need no right but to add and to read."""
        name = _name(address)
        postgres.run("CREATE ROLE clerk LOGIN PASSWORD 'clerk'")
        postgres.run(f"GRANT SELECT, INSERT ON {AUDIT.name} TO clerk", name)
        clerk = Database(address_of(postgres.url(name, user="clerk", password="clerk")))
        trail = make_trail(clerk, tmp_path)
        trail.record(Action.RUN_STARTED, actor="ann", object="run")
        assert trail.verify().is_whole
        with pytest.raises(UnavailableError):
            with clerk.begin() as connection:
                connection.execute(AUDIT.update().values(actor="eve"))
        clerk.close()
        postgres.run(f"REVOKE ALL ON {AUDIT.name} FROM clerk; DROP ROLE clerk", name)


def test_no_password_is_in_anything_that_is_written_or_said(
    postgres: PostgresServer,
    address: str,
    logged: io.StringIO,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    urls = {
        "database_url": postgres.url(_name(address)),
        "mlflow_database_url": postgres.url("nowhere", password=WRONG),
    }
    planted = plant("127.0.0.1:9", urls)
    assert {postgres.password, WRONG} <= set(planted.texts)
    ports = {variable_of(name): str(port) for name, port in free_published_ports().items()}
    home = {"PILOTHOUSE_HOME": str(tmp_path / "home"), "PILOTHOUSE_LOG_LEVEL": "DEBUG"}
    for variable, value in {**planted.variables, **ports, **home}.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.delenv("PILOTHOUSE_TOKEN")
    monkeypatch.chdir(tmp_path)
    said = ""

    def run(*arguments: str) -> None:
        nonlocal said
        monkeypatch.setattr(sys, "argv", ["pilothouse", *arguments])
        with pytest.raises(SystemExit):
            cli.main()
        printed = capsys.readouterr()
        said += printed.out + printed.err

    run("audit", "list", "--json")
    run("users", "list")
    run("runs", "show", "nothing")
    run("doctor")
    run("up")
    assert "There is no run 'nothing'" in said
    assert 'database "nowhere"' in said or "password authentication failed" in said
    monkeypatch.setenv("PILOTHOUSE_DATABASE_URL", urls["mlflow_database_url"])
    run("runs", "list")
    assert "does not answer" in said
    # The file that a trace goes to, when nobody has foreseen what happens.
    monkeypatch.setattr(Database, "runs", lambda *_: 1 / 0)
    monkeypatch.setenv("PILOTHOUSE_DATABASE_URL", urls["database_url"])
    run("runs", "list")
    assert "command.log" in said
    assert planted.in_text(said + repr(load_settings())) == []
    assert planted.in_text(logged.getvalue()) == []
    assert planted.below(tmp_path) == {}
