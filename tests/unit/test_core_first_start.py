"""What `pilothouse up` does at the end: a model for every problem."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.domain import RunStatus
from core.errors import TrainingError, UnavailableError
from core.first_start import ensure_models
from core.worker import beat
from tests.unit.core_fakes import World, make_world


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setattr("core.first_start.POLL_S", 0.0)
    monkeypatch.setattr("core.first_start.CONSIDER_TIMEOUT_S", 0.0)
    made = make_world(tmp_path)
    yield made
    made.close()


def _complete_and_consider(world: World) -> None:
    (run,) = world.pilothouse.database.active_runs()
    world.complete(run.id, auc=0.85)
    beat(world.pilothouse, set())


def test_an_empty_store_gets_its_first_model(world: World) -> None:
    said: list[str] = []

    def say(text: str) -> None:
        if text == "plums: queued":
            _complete_and_consider(world)
        said.append(text)

    ensure_models(world.pilothouse, say, actor="operator")
    assert said == ["plums: queued", "loading plums v1"]
    assert world.serving.waited_for == [("plums", 1)]
    (run,) = world.pilothouse.runs.list()
    assert run.started_by == world.pilothouse.settings.operator


def test_a_run_that_is_under_way_is_followed(world: World) -> None:
    started = world.start()
    ensure_models(world.pilothouse, lambda _: _once(world), actor="operator")
    assert [run.id for run in world.pilothouse.runs.list()] == [started.id]
    assert world.serving.waited_for == [("plums", 1)]


def _once(world: World) -> None:
    if world.pilothouse.database.active_runs():
        _complete_and_consider(world)


def test_what_is_recorded_is_only_waited_for(world: World) -> None:
    world.pilothouse.promotions.consider(world.train())
    ensure_models(world.pilothouse, lambda _: None, actor="operator")
    assert len(world.pilothouse.runs.list()) == 1
    assert world.serving.waited_for == [("plums", 1)]


def test_a_first_run_that_fails_is_an_error_that_names_its_log(world: World) -> None:
    def say(_: str) -> None:
        for run in world.pilothouse.database.active_runs():
            world.tracker.finish(run.id, RunStatus.FAILED, "It broke.")

    with pytest.raises(TrainingError, match="It broke") as failed:
        ensure_models(world.pilothouse, say, actor="operator")
    (run,) = world.pilothouse.runs.list()
    assert run.id in failed.value.fix


def test_a_worker_that_does_not_promote_is_told(world: World) -> None:
    def say(_: str) -> None:
        for run in world.pilothouse.database.active_runs():
            world.complete(run.id, auc=0.85)

    with pytest.raises(UnavailableError, match="worker"):
        ensure_models(world.pilothouse, say, actor="operator")


def test_a_model_that_waits_for_the_worker_is_reason_enough_not_to_train(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.first_start.CONSIDER_TIMEOUT_S", 60.0)
    run = world.train()

    def say(text: str) -> None:
        if text == "plums: the worker looks at the version":
            beat(world.pilothouse, set())

    ensure_models(world.pilothouse, say, actor="operator")
    assert [one.id for one in world.pilothouse.runs.list()] == [run.id]
    assert world.serving.waited_for == [("plums", 1)]
