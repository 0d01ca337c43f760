"""When a Spark session counts as lost, on a clock and a status store of the test's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from py4j.protocol import Py4JError

from core.adapters import spark_watch
from core.adapters.spark_watch import EXECUTOR_GRACE_S, SparkWatch
from core.errors import SparkHungError
from core.params import load_params
from core.settings import CODE_ROOT

PARAMS = load_params(CODE_ROOT / "params.yaml").training.spark
START_S, RUN_S, STALL_S = PARAMS.start_timeout_s, PARAMS.run_timeout_s, PARAMS.stall_timeout_s


@dataclass
class Executor:
    """One line of Spark's list, where the driver stands as well."""

    name: str = "1"
    finished: int = 0
    active: int = 0

    def id(self) -> str:
        return self.name

    def completedTasks(self) -> int:
        return self.finished

    def activeTasks(self) -> int:
        return self.active


@dataclass
class Store:
    """Spark's status store, as far as the watch asks it."""

    executors: list[Executor] = field(default_factory=lambda: [Executor("driver"), Executor()])
    failure: Exception | None = None

    def executorList(self, active_only: bool) -> Any:
        assert active_only
        if self.failure:
            raise self.failure
        return SimpleNamespace(size=lambda: len(self.executors), apply=self.executors.__getitem__)

    def works(self, finished: int, active: int = 1) -> None:
        """So many tasks have finished since the start, and so many go on."""
        self.executors[1] = Executor(finished=finished, active=active)


@dataclass
class Watched:
    """A watch whose time the test moves on."""

    now_s: float = 1000.0
    store: Store = field(default_factory=Store)
    master_lives: bool = True
    told: list[SparkHungError] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.watch = SparkWatch(PARAMS, self.told.append)

    def starts(self) -> None:
        scala = SimpleNamespace(statusStore=lambda: self.store)
        context = SimpleNamespace(_jsc=SimpleNamespace(sc=lambda: scala))
        session: Any = SimpleNamespace(sparkContext=context)
        self.watch.session_started(session)

    def after(self, seconds: float) -> str:
        """What is wrong so much later; empty if nothing is."""
        self.now_s += seconds
        error = self.watch.what_is_wrong()
        return "" if error is None else str(error)


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watched:
    made: list[Watched] = []
    clock = SimpleNamespace(monotonic=lambda: made[0].now_s if made else 1000.0)
    monkeypatch.setattr(spark_watch, "time", clock)
    monkeypatch.setattr(spark_watch, "_app_master_alive", lambda: made[0].master_lives)
    made.append(Watched())
    return made[0]


def test_spark_has_to_start_in_time(watched: Watched) -> None:
    assert watched.after(START_S) == ""
    assert f"did not start within {START_S:.0f} s" in watched.after(1)
    watched.starts()
    assert watched.after(0) == ""


def test_work_that_moves_on_is_left_alone_however_long_it_takes(watched: Watched) -> None:
    watched.starts()
    for finished in range(1, 20):
        watched.store.works(finished)
        assert watched.after(STALL_S * 0.9) == ""


def test_tasks_that_do_not_finish_are_a_hang(watched: Watched) -> None:
    watched.starts()
    watched.store.works(finished=7)
    assert watched.after(1) == ""
    assert watched.after(STALL_S) == ""
    assert f"No Spark task finished for {STALL_S:.0f} s" in watched.after(1)
    watched.store.works(finished=8)
    assert watched.after(1) == ""


def test_a_session_without_active_tasks_may_idle(watched: Watched) -> None:
    watched.starts()
    watched.store.works(finished=7, active=0)
    assert watched.after(10 * STALL_S) == ""
    # Time without work does not count against the work that comes.
    watched.store.works(finished=7, active=1)
    assert watched.after(STALL_S * 0.9) == ""


def test_work_that_begins_has_the_whole_time_to_finish_a_task(watched: Watched) -> None:
    watched.starts()
    watched.store.works(finished=7)
    assert watched.after(1) == ""
    watched.now_s += STALL_S
    watched.watch.work_begins()
    assert watched.after(STALL_S) == ""
    assert "No Spark task finished" in watched.after(1)


@pytest.mark.parametrize("left", [[], [Executor("driver", finished=3)]])
def test_executors_that_are_gone_get_time_to_come_back(
    watched: Watched, left: Sequence[Executor]
) -> None:
    watched.starts()
    assert watched.after(60) == ""
    before = watched.store.executors
    watched.store.executors = list(left)
    assert watched.after(EXECUTOR_GRACE_S) == ""
    assert f"no executor for {EXECUTOR_GRACE_S:.0f} s" in watched.after(1)
    watched.store.executors = before
    assert watched.after(1) == ""
    # The next time is a grace of its own.
    watched.store.executors = list(left)
    assert watched.after(EXECUTOR_GRACE_S) == ""


def test_a_piece_of_work_has_a_limit_of_time(watched: Watched) -> None:
    watched.starts()
    assert watched.after(2 * RUN_S) == ""
    watched.watch.work_begins()
    assert watched.after(RUN_S) == ""
    assert f"longer than its limit of {RUN_S:.0f} s" in watched.after(1)
    error = watched.watch.what_is_wrong()
    # Once more would take as long again.
    assert error is not None
    assert not error.worth_retrying
    assert "run_timeout_s" in error.fix
    watched.watch.work_ends()
    assert watched.after(2 * RUN_S) == ""


def test_the_limit_holds_while_tasks_finish(watched: Watched) -> None:
    watched.starts()
    watched.watch.work_begins()
    for finished in range(int(RUN_S // STALL_S)):
        watched.store.works(finished)
        assert watched.after(STALL_S) == ""
    assert "longer than its limit" in watched.after(STALL_S)


def test_a_master_that_died_is_a_hang_worth_another_try(watched: Watched) -> None:
    watched.starts()
    watched.master_lives = False
    error = watched.watch.what_is_wrong()
    assert error is not None
    assert "master on Ray died" in error.message
    assert error.worth_retrying


@pytest.mark.parametrize("failure", [Py4JError("no answer"), ConnectionRefusedError()])
def test_a_driver_that_does_not_answer_is_a_hang(watched: Watched, failure: Exception) -> None:
    watched.starts()
    watched.store.failure = failure
    assert "driver died" in watched.after(1)


def test_a_hang_is_told_once_and_the_watch_ends(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spark_watch, "POLL_S", 0.001)
    watched.starts()
    watched.master_lives = False
    watched.watch.start()
    watched.watch.join(20)
    assert not watched.watch.is_alive()
    assert [error.message for error in watched.told] == ["Spark's master on Ray died."]


def test_a_watch_that_is_stopped_tells_nothing(watched: Watched) -> None:
    watched.starts()
    watched.master_lives = False
    watched.watch.stop()
    watched.watch.start()
    watched.watch.join(20)
    assert not watched.watch.is_alive()
    assert watched.told == []
