"""A beat of the worker: every duty once, whatever the others do."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.domain import RunStatus
from core.domain_serving import Health, ServedVersion, ServingStatus
from core.domain_watching import Level
from core.monitoring.report import Topic
from core.worker import beat, deliver, keep_serving
from tests.unit.alert_values import check_of, report_of
from tests.unit.core_fakes import World, make_world

WORKER_LOG = "core.worker"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = make_world(tmp_path)
    yield made
    made.close()


def _said(caplog: pytest.LogCaptureFixture) -> list[str]:
    lines = [r.getMessage() for r in caplog.records if r.name == WORKER_LOG]
    caplog.clear()
    return lines


def test_a_beat_brings_a_finished_run_into_service(world: World) -> None:
    run = world.start()
    world.complete(run.id, auc=0.85)
    failing: set[str] = set()
    beat(world.pilothouse, failing)
    assert failing == set()
    assert world.pilothouse.database.run(run.id).status is RunStatus.FINISHED
    assert {models["plums"].version for models in world.serving.deployed} == {1}


def test_a_failing_duty_does_not_stop_the_others_and_is_logged_once(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, WORKER_LOG)
    world.pilothouse.promotions.consider(world.train(0.85))
    world.train(0.9)
    world.serving.shown = ServingStatus(
        Health.HEALTHY, 1, (ServedVersion("plums", 1, "run", "gbt", 0.5),)
    )
    active = world.start()
    world.registry.plug.pulled = True
    world.tracker.finish(active.id, RunStatus.FAILED, "It broke.")
    failing: set[str] = set()
    beat(world.pilothouse, failing)
    assert failing == {"consider candidates", "watch aliases"}
    assert world.pilothouse.database.run(active.id).status is RunStatus.FAILED
    assert _said(caplog) == [
        "consider candidates: MLflow does not answer.",
        "watch aliases: MLflow does not answer.",
    ]
    for _ in range(3):
        beat(world.pilothouse, failing)
    assert _said(caplog) == []

    world.registry.plug.pulled = False
    beat(world.pilothouse, failing)
    assert failing == set()
    assert world.pilothouse.database.unconsidered_runs() == ()

    world.train(0.95)
    world.registry.plug.pulled = True
    beat(world.pilothouse, failing)
    assert _said(caplog) == ["consider candidates: MLflow does not answer."]


def test_a_duty_that_breaks_in_an_unknown_way_leaves_one_trace(
    world: World, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.train()

    def break_down() -> None:
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr(world.pilothouse.runs, "refresh", break_down)
    failing: set[str] = set()
    beat(world.pilothouse, failing)
    beat(world.pilothouse, failing)
    assert failing == {"follow runs"}
    (record,) = [r for r in caplog.records if r.name == WORKER_LOG]
    assert record.exc_info is not None
    assert "a mistake of ours" in str(record.exc_info[1])
    assert world.pilothouse.database.unconsidered_runs() == ()
    assert len(world.serving.deployed) == 1


def test_alerts_are_sent_beside_the_beats_until_told_to_stop(world: World) -> None:
    report = report_of({Topic.DRIFT: Level.CRITICAL})
    world.pilothouse.alerts.consider(check_of(), report)
    stop = threading.Event()
    sender = threading.Thread(target=deliver, args=(world.pilothouse, stop))
    sender.start()
    while not world.receiver.taken:
        time.sleep(0.01)
    stop.set()
    sender.join()
    assert [message.fields["event"] for message in world.receiver.taken] == ["raised"]


def test_replicas_are_kept_at_the_record_beside_the_beats(world: World) -> None:
    world.put_into_production()
    world.serving.deployed.clear()
    stop = threading.Event()
    keeper = threading.Thread(target=keep_serving, args=(world.pilothouse, stop))
    keeper.start()
    while not world.serving.deployed:
        time.sleep(0.01)
    stop.set()
    keeper.join()
    assert world.serving.deployed[0]["plums"].version == 1
