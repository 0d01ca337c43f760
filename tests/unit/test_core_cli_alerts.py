"""The commands on alerts, on fakes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from core import cli, cli_session
from core.domain_watching import Alert, Level
from core.monitoring.report import Topic
from tests.unit.alert_values import CRITICAL, OK, WARNING, check_of, report_of
from tests.unit.core_fakes import World, make_world


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    made = make_world(tmp_path)
    monkeypatch.setattr(cli_session, "connect", lambda: made.pilothouse)
    yield made
    made.close()


def _invoke(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, ["alerts", *arguments])


def _raise(world: World, topic: Topic = Topic.DRIFT, level: Level = CRITICAL) -> Alert:
    world.pilothouse.alerts.consider(check_of(), report_of({topic: level}))
    return world.pilothouse.alerts.list()[0]


def test_alerts_are_listed_newest_first(world: World) -> None:
    first, second = _raise(world), _raise(world, Topic.QUALITY, WARNING)
    done = _invoke("list", "plums", "--open", "--json")
    assert [entry["id"] for entry in json.loads(done.stdout)] == [second.id, first.id]
    world.pilothouse.alerts.consider(check_of(), report_of({Topic.DRIFT: OK}))
    done = _invoke("list", "--open", "--json")
    assert [entry["id"] for entry in json.loads(done.stdout)] == [second.id]
    assert len(json.loads(_invoke("list", "--json").stdout)) == 2
    assert _invoke("list", "pears").stdout == "Alerts: none\n"
    assert "data quality" in _invoke("list").stdout


def test_an_alert_is_shown_with_its_deliveries(world: World) -> None:
    alert = _raise(world)
    shown = json.loads(_invoke("show", alert.id, "--json").stdout)
    assert (shown["id"], shown["alert"]["severity"]) == (alert.id, "critical")
    assert [delivery["event"] for delivery in shown["deliveries"]] == ["raised"]
    world.pilothouse.alerts.acknowledge(alert.id, note="[I look.]", actor="ann")
    text = _invoke("show", alert.id).stdout
    assert "drift of plums, critical, acknowledged" in text
    assert "[I look.]" in text
    assert "raised" in text


def test_an_alert_is_acknowledged_with_a_note(world: World) -> None:
    alert = _raise(world)
    done = _invoke("acknowledge", alert.id, "--note", "I look.", "--json")
    assert json.loads(done.stdout)["acknowledged_by"] == world.pilothouse.settings.operator
    assert _invoke("acknowledge", alert.id).exit_code != 0
    done = _invoke("acknowledge", alert.id, "--note", "Again.")
    assert done.stdout == f"Alert {alert.id} is acknowledged.\n"
    assert world.pilothouse.alerts.get(alert.id).note == "Again."


def test_a_test_message_reaches_the_receiver_or_says_why_not(world: World) -> None:
    assert _invoke("test").exit_code == 0
    assert len(world.receiver.taken) == 1
    world.receiver.plug.pulled = True
    assert _invoke("test").exit_code != 0
