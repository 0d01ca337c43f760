"""What is remembered of runs is what MLflow would say, at a fraction of the reading."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest

from core.adapters.database import Database
from core.adapters.mlflow import TrackedRun
from core.domain import RunStatus
from core.errors import UnavailableError
from core.training.experiments import READ_AHEAD, ExperimentService
from core.training.run_memory import REREAD_S, RunMemory
from tests.unit.core_fakes import FakeTracker, explain_evenly
from tests.unit.stores import address_in


@dataclass
class CountingTracker(FakeTracker):
    """Counts whole readings; ``changes`` of the fake reads the runs without ``list``."""

    limits: list[int] = field(default_factory=list)

    def list(self, problem: str, limit: int) -> tuple[TrackedRun, ...]:
        self.limits.append(limit)
        return super().list(problem, limit)

    def changes(self, problem: str, since: Any) -> Any:
        before = len(self.limits)
        found = super().changes(problem, since)
        del self.limits[before:]
        return found


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def tracker() -> CountingTracker:
    made = CountingTracker()
    for number in range(5):
        made.finish(made.create("plums", f"run-{number}", {}), RunStatus.FINISHED)
    return made


def remember(tracker: Any, clock: Clock | None = None) -> RunMemory:
    return RunMemory(tracker, clock or Clock())


def check(memory: RunMemory, tracker: CountingTracker, limit: int, readings: int) -> None:
    """The memory says what the tracker says, after so many whole readings."""
    assert memory.newest("plums", limit) == FakeTracker.list(tracker, "plums", limit)
    assert len(tracker.limits) == readings


def test_ended_runs_are_read_once(tracker: CountingTracker) -> None:
    memory = remember(tracker)
    for _ in range(3):
        check(memory, tracker, 3, readings=1)
    check(memory, tracker, 2, readings=1)


def test_new_runs_their_progress_and_their_end_are_seen(tracker: CountingTracker) -> None:
    memory = remember(tracker)
    check(memory, tracker, 10, readings=1)
    run_id = tracker.create("plums", "another", {})
    check(memory, tracker, 10, readings=1)
    tracker.tag(run_id, {"percent": "40"})
    check(memory, tracker, 10, readings=1)
    tracker.log(run_id, {}, {"auc": 0.9})
    tracker.finish(run_id, RunStatus.FINISHED)
    check(memory, tracker, 10, readings=1)
    assert memory.newest("plums", 10)[0].metrics == {"auc": 0.9}


def test_deleted_runs_disappear_and_restored_ones_come_back(tracker: CountingTracker) -> None:
    memory = remember(tracker)
    check(memory, tracker, 10, readings=1)
    newest = memory.newest("plums", 1)[0]
    tracker.forget(newest.id)
    check(memory, tracker, 10, readings=1)
    tracker.runs[newest.id] = newest
    tracker.deleted.clear()
    check(memory, tracker, 10, readings=2)


def test_older_runs_are_read_when_they_are_wanted(tracker: CountingTracker) -> None:
    memory = remember(tracker)
    check(memory, tracker, 2, readings=1)
    check(memory, tracker, 4, readings=2)
    tracker.forget(memory.newest("plums", 1)[0].id)
    check(memory, tracker, 4, readings=3)
    check(memory, tracker, 10, readings=4)
    check(memory, tracker, 100, readings=4)


def test_what_was_edited_afterwards_is_seen_in_the_end(tracker: CountingTracker) -> None:
    clock = Clock()
    memory = remember(tracker, clock)
    check(memory, tracker, 10, readings=1)
    oldest = memory.newest("plums", 10)[-1]
    assert oldest.ended_at is not None
    edited = replace(oldest, ended_at=oldest.ended_at.replace(year=2020), metrics={"auc": 0.5})
    tracker.runs[oldest.id] = edited
    assert memory.newest("plums", 10)[-1] == oldest
    clock.now_s = REREAD_S + 1
    check(memory, tracker, 10, readings=2)


def test_a_server_that_is_gone_is_not_covered_up(tracker: CountingTracker) -> None:
    memory = remember(tracker)
    check(memory, tracker, 10, readings=1)
    tracker.plug.pulled = True
    with pytest.raises(UnavailableError):
        memory.newest("plums", 10)


def test_what_was_read_ahead_is_not_read_again(tmp_path: Path, tracker: CountingTracker) -> None:
    database = Database(address_in(tmp_path))
    database.migrate()
    service: Any = ExperimentService(database, cast("Any", tracker), explain_evenly)
    service.read_ahead(["plums"])
    assert len(service.table("plums", limit=2)) == 2
    assert len(service.table("plums", limit=READ_AHEAD)) == 5
    assert len(tracker.limits) == 1
    tracker.plug.pulled = True
    service.read_ahead(["plums"])
    database.close()
