"""The commands on sweeps, on fakes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from core import cli, cli_session, cli_sweeps
from core.adapters.ray import JobStatus
from core.domain import Progress, RunStatus, Stage
from core.errors import InvalidInputError
from core.training.sweep_spec import LOG_FILE, REPORT_FILE, sweep_folder
from tests.unit.core_fakes import World, make_world
from tests.unit.sweep_values import MIDDLE, SMALL, measured, sweep_of

GIVEN = ("plums", "--profiles", "1c-1g,2c-2g", "--families", "lr,gbt", "--repeat", "1")


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    made = make_world(tmp_path)
    monkeypatch.setattr(cli_session, "connect", lambda: made.pilothouse)
    monkeypatch.setattr(cli_sweeps, "POLL_S", 0.0)
    monkeypatch.setenv("COLUMNS", "250")
    yield made
    made.close()


def _invoke(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, arguments)


def _json_of(*arguments: str) -> Any:
    done = _invoke(*arguments, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def _finish(world: World, sweep_id: str) -> None:
    """Does what a sweep's own process does."""
    report = world.registry.folder / REPORT_FILE
    report.parent.mkdir(parents=True, exist_ok=True)
    sweep = sweep_of(
        measured(SMALL, "lr", seconds=100, utilization=0.31),
        measured(MIDDLE, "lr", seconds=98, utilization=0.2),
    )
    report.write_text(sweep.model_dump_json(), encoding="utf-8")
    world.tracker.log_files(sweep_id, report, "sweep")
    world.tracker.finish(sweep_id, RunStatus.FINISHED)
    world.cluster.end(f"plums-sweep-{sweep_id}", JobStatus.SUCCEEDED)


def test_profile_starts_and_returns(world: World) -> None:
    done = _invoke("profile", *GIVEN, "--set", "search.trials=3")
    assert done.exit_code == 0, done.output
    (sweep,) = world.pilothouse.sweeps.list("plums")
    assert done.stdout == f"Sweep {sweep.id} of plums is queued.\n"
    assert (sweep.profiles, sweep.families, sweep.repeat) == (("1c-1g", "2c-2g"), ("lr", "gbt"), 1)
    (command,) = world.cluster.commands.values()
    assert '"trials":3' in command


def test_without_choices_everything_is_measured_twice(world: World) -> None:
    assert _invoke("profile", "plums").exit_code == 0
    (sweep,) = world.pilothouse.sweeps.list("plums")
    params = world.pilothouse.params
    assert sweep.profiles == tuple(params.profiles)
    assert sweep.families == params.training.search.families
    assert sweep.repeat == 2


@pytest.mark.parametrize("names", ["", " , "])
def test_no_name_at_all_is_refused(world: World, names: str) -> None:
    done = _invoke("profile", "plums", "--profiles", names)
    assert isinstance(done.exception, InvalidInputError)
    assert world.tracker.runs == {}


@pytest.mark.parametrize(
    ("succeeds", "status", "code"), [(True, "finished", 0), (False, "failed", 1)]
)
def test_waiting_ends_with_the_advice(
    world: World, monkeypatch: pytest.MonkeyPatch, succeeds: bool, status: str, code: int
) -> None:
    submit = world.cluster.submit

    def submit_and_end(job_id: str, command: str) -> None:
        submit(job_id, command)
        (tracked,) = world.tracker.runs
        world.tracker.report_progress(tracked, Progress(Stage.TRAIN, 50, "2c-2g, lr"))
        if succeeds:
            _finish(world, tracked)
        else:
            world.tracker.finish(tracked, RunStatus.FAILED, "It broke.")

    monkeypatch.setattr(world.cluster, "submit", submit_and_end)
    done = _invoke("profile", *GIVEN, "--wait", "--json")
    found = json.loads(done.stdout)
    assert (found["sweep"]["status"], done.exit_code) == (status, code)
    assert (found["advice"] is not None) is succeeds


def test_a_finished_sweep_is_shown_with_its_advice(world: World) -> None:
    sweep_id = _json_of("profile", *GIVEN)["id"]
    assert _json_of("profiles", "show", sweep_id)["report"] is None
    _finish(world, sweep_id)
    found = _json_of("profiles", "show", sweep_id)
    assert found["advice"]["profile"] == "1c-1g"
    assert len(found["report"]["measurements"]) == 2
    shown = _invoke("profiles", "show", sweep_id).stdout
    assert "Advice: 1c-1g, lr" in shown
    assert "More cores will not help: 31% utilization" in shown


def test_sweeps_are_listed_newest_first(world: World) -> None:
    assert _invoke("profiles", "list", "plums").stdout == "Sweeps of plums: none\n"
    first = _json_of("profile", *GIVEN)["id"]
    _finish(world, first)
    second = _json_of("profile", *GIVEN)["id"]
    assert [entry["id"] for entry in _json_of("profiles", "list", "plums")] == [second, first]
    assert "1c-1g, 2c-2g" in _invoke("profiles", "list", "plums").stdout


def test_cancel_and_logs(world: World) -> None:
    sweep_id = _json_of("profile", *GIVEN)["id"]
    path = sweep_folder(world.pilothouse.settings.home, sweep_id) / LOG_FILE
    path.parent.mkdir(parents=True)
    path.write_text("one\n[red]two[/]\n", encoding="utf-8")
    assert _invoke("profiles", "logs", sweep_id, "--tail", "1").stdout == "[red]two[/]\n"
    found = _json_of("profiles", "cancel", sweep_id)
    assert (found["id"], found["status"]) == (sweep_id, "cancelled")


@pytest.mark.parametrize(
    "arguments", [["profile"], ["profile", "plums", "--repeat", "x"], ["profiles", "show"]]
)
def test_what_it_does_not_take_is_a_usage_error(arguments: list[str]) -> None:
    assert _invoke(*arguments).exit_code == 2
