"""Pilothouse's database on SQLite: what it keeps, what it refuses, who wins a race."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
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
from core.adapters.database_tables import METADATA
from core.domain import (
    GateResult,
    Progress,
    Promotion,
    PromotionRequest,
    RequestStatus,
    Run,
    RunStatus,
    Stage,
    Verdict,
)
from core.errors import ConflictError, NotFoundError, UnavailableError

NOW = datetime(2026, 1, 31, 8, 15, 30, 123456, tzinfo=UTC)
RUN = Run("r1", "plums", RunStatus.QUEUED, "2c-2g", "ann", NOW)
REQUEST = PromotionRequest(
    id="q1",
    problem="plums",
    version=2,
    run_id="r1",
    status=RequestStatus.OPEN,
    requested_by="ann",
    requested_at=NOW,
    incumbent_version=1,
    gates=(
        GateResult("AUC", Verdict.PASS, 0.9, 0.8, "good"),
        GateResult("contract", Verdict.CANNOT_TELL, None, None, "who knows", hard=True),
    ),
)
PROMOTION = Promotion("p1", "plums", 1, "r0", "bootstrap", "ann", "the first", NOW)


def _url(folder: Path) -> str:
    return f"sqlite:///{folder / 'deep' / 'pilothouse.db'}"


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
        outcomes = _race(tmp_path, lambda database, _: database.migrate())
        assert outcomes == ["done", "done"]

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
            outcomes = _race(
                tmp_path,
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

    def test_finished_runs_wait_for_the_gates_oldest_first(self, database: Database) -> None:
        for minutes, status in (
            (2, RunStatus.FINISHED),
            (1, RunStatus.FINISHED),
            (3, RunStatus.FAILED),
            (4, RunStatus.RUNNING),
        ):
            database.add_run(_minutes_later(RUN, minutes, id=str(minutes), status=status))
        assert [run.id for run in database.unconsidered_runs()] == ["1", "2"]
        database.decide(considered_run="1")
        database.save_active_run(replace(database.run("1"), error="a late word"))
        assert [run.id for run in database.unconsidered_runs()] == ["2"]


class TestDecisions:
    def test_a_request_is_read_back_whole(self, database: Database) -> None:
        database.decide(request=REQUEST)
        assert database.request("q1") == REQUEST
        with pytest.raises(NotFoundError):
            database.request("nobody")

    def test_a_new_request_supersedes_older_open_ones_of_its_problem(
        self, database: Database
    ) -> None:
        rejected = replace(REQUEST, id="q0", status=RequestStatus.REJECTED)
        database.decide(request=replace(REQUEST, id="q0"))
        database.decide(request=rejected)
        later = REQUEST.requested_at
        for index, (name, problem) in enumerate(
            [("q1", "plums"), ("other", "pears"), ("q2", "plums")]
        ):
            at = later + timedelta(minutes=1 + index)
            database.decide(request=replace(REQUEST, id=name, problem=problem, requested_at=at))
        statuses = [(r.id, r.status.value) for r in database.requests("plums", open_only=False)]
        assert statuses == [("q2", "open"), ("q1", "superseded"), ("q0", "rejected")]
        assert [r.id for r in database.requests(None, open_only=True)] == ["q2", "other"]

    @pytest.mark.parametrize("first", [RequestStatus.APPROVED, RequestStatus.REJECTED])
    def test_a_request_is_decided_once_and_a_late_decision_leaves_nothing(
        self, database: Database, first: RequestStatus
    ) -> None:
        database.add_run(RUN)
        database.decide(request=REQUEST)
        decided = replace(REQUEST, status=first, decided_by="ann", decided_at=NOW, reason="so")
        database.decide(request=decided)
        late = replace(REQUEST, status=RequestStatus.APPROVED, decided_by="bob", decided_at=NOW)
        with pytest.raises(ConflictError):
            database.decide(considered_run="r1", request=late, promotion=PROMOTION)
        assert database.request("q1") == decided
        assert database.promotions("plums") == ()
        database.save_active_run(replace(RUN, status=RunStatus.FINISHED))
        assert [run.id for run in database.unconsidered_runs()] == ["r1"]

    def test_of_two_who_decide_at_once_one_wins(self, database: Database, tmp_path: Path) -> None:
        database.decide(request=REQUEST)
        decided = replace(REQUEST, status=RequestStatus.APPROVED, decided_at=NOW)
        outcomes = _race(
            tmp_path,
            lambda own, index: own.decide(
                request=replace(decided, decided_by=str(index)),
                promotion=replace(PROMOTION, id=f"p{index}", decided_by=str(index)),
            ),
        )
        assert sorted(outcomes) == ["ConflictError", "done"]
        (promotion,) = database.promotions("plums")
        assert promotion.decided_by == database.request("q1").decided_by

    def test_the_record_is_newest_first_and_projected_oldest_first(
        self, database: Database
    ) -> None:
        second = replace(PROMOTION, id="p2", version=2, rule="approval", request_id="q1")
        database.decide(promotion=PROMOTION)
        database.decide(promotion=second)
        database.decide(promotion=replace(PROMOTION, id="other", problem="pears"))
        assert database.promotions("plums") == (second, PROMOTION)
        assert [p.id for p in database.unprojected()] == ["p1", "p2", "other"]
        database.mark_projected("p1")
        assert [p.id for p in database.unprojected()] == ["p2", "other"]

    def test_what_is_kept_outlives_the_process(self, database: Database, tmp_path: Path) -> None:
        database.add_run(RUN)
        database.decide(request=REQUEST, promotion=PROMOTION)
        database.close()
        again = Database(_url(tmp_path))
        again.migrate()
        assert (again.run("r1"), again.request("q1")) == (RUN, REQUEST)
        assert again.promotions("plums") == (PROMOTION,)
        again.close()


def _race(folder: Path, act: Callable[[Database, int], None]) -> list[str]:
    """Two threads with a connection each act at the same time; how each fared."""
    outcomes: list[str] = []
    gate = threading.Barrier(2)

    def attempt(index: int) -> None:
        own = Database(_url(folder))
        gate.wait()
        try:
            act(own, index)
            outcomes.append("done")
        except ConflictError as exc:
            outcomes.append(type(exc).__name__)
        finally:
            own.close()

    threads = [threading.Thread(target=attempt, args=(index,)) for index in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes
