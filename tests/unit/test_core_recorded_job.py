from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.domain import RunStatus
from core.errors import TrainingError
from core.training.recorded_job import do_recorded
from tests.unit.core_fakes import PROBLEM, World, make_world


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = make_world(tmp_path)
    yield made
    made.close()


def _do(world: World, folder: Path, work: Any) -> tuple[int, str]:
    tracker: Any = world.tracker
    run_id = tracker.create(PROBLEM.name, "job", {})
    code = do_recorded(tracker, run_id, folder / "job" / "job.log", "INFO", "check", work)
    return code, run_id


def test_work_that_ends_well_is_finished(world: World, tmp_path: Path) -> None:
    code, run_id = _do(world, tmp_path, lambda: None)
    assert code == 0
    assert world.tracker.get(run_id).status is RunStatus.FINISHED


def test_what_was_given_up_before_it_began_is_not_begun(world: World, tmp_path: Path) -> None:
    tracker: Any = world.tracker
    run_id = tracker.create(PROBLEM.name, "job", {})
    tracker.finish(run_id, RunStatus.FAILED, "Ray does not answer.")
    done: list[str] = []
    log = tmp_path / "job.log"
    assert do_recorded(tracker, run_id, log, "INFO", "run", lambda: done.append("trained")) == 1
    assert done == []
    assert tracker.get(run_id).status is RunStatus.FAILED


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (TrainingError("Rows were lost.", fix="Look again."), "Rows were lost. Look again."),
        (KeyError("secret"), "The check stopped with an unexpected KeyError; its log has the rest"),
    ],
)
def test_a_failure_is_one_sentence_for_people(
    world: World, tmp_path: Path, failure: Exception, said: str
) -> None:
    def fail() -> None:
        raise failure

    code, run_id = _do(world, tmp_path, fail)
    assert code == 1
    tracked = world.tracker.get(run_id)
    assert tracked.status is RunStatus.FAILED
    assert said in tracked.tags["error"]
    assert "secret" not in tracked.tags["error"]
