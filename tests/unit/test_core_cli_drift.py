"""The commands on checks, on fakes: what they print and how they exit."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from core import cli, cli_drift, cli_session
from core.adapters.ray import JobStatus
from core.domain import Progress, RunStatus, Stage
from core.domain_watching import Level
from core.errors import InvalidInputError, NotFoundError
from core.monitoring.job_spec import FOLDER, LOG_FILE, REPORT_FILE, check_folder
from core.monitoring.outcome import check_tags
from core.monitoring.report import DriftReport
from tests.unit.check_values import error_of, estimator_of, performance_of, report_of
from tests.unit.core_fakes import World, make_world


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    made = make_world(tmp_path)
    made.put_into_production()
    made.add_batch("b1")
    monkeypatch.setattr(cli_session, "connect", lambda: made.pilothouse)
    monkeypatch.setattr(cli_drift, "POLL_S", 0.0)
    monkeypatch.setenv("COLUMNS", "250")
    yield made
    made.close()


def _invoke(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, arguments)


def _ends_with(
    world: World, monkeypatch: pytest.MonkeyPatch, end: Callable[[str], DriftReport | str]
) -> None:
    """Every check that is submitted ends at once: with a report, or failed with a sentence."""
    submit = world.cluster.submit

    def submit_and_end(
        job_id: str, command: str, environment: Mapping[str, str] | None = None
    ) -> None:
        submit(job_id, command)
        check_id = job_id.removeprefix("plums-check-")
        world.tracker.report_progress(check_id, Progress(Stage.EVALUATE, 50, "counting values"))
        ended = end(check_id)
        if isinstance(ended, str):
            world.tracker.finish(check_id, RunStatus.FAILED, ended)
        else:
            file = world.registry.folder / check_id / Path(REPORT_FILE).name
            file.parent.mkdir(parents=True)
            file.write_text(ended.model_dump_json(), encoding="utf-8")
            world.tracker.log_files(check_id, file, FOLDER)
            world.tracker.tag(check_id, check_tags(ended))
            world.tracker.finish(check_id, RunStatus.FINISHED)
        world.cluster.end(job_id, JobStatus.SUCCEEDED)

    monkeypatch.setattr(world.cluster, "submit", submit_and_end)


@pytest.mark.parametrize(
    ("level", "code"),
    [
        (Level.OK, 0),
        (Level.WARNING, 0),
        (Level.CRITICAL, 42),
        (Level.NOT_ENOUGH_DATA, 3),
    ],
)
def test_the_verdict_is_printed_and_decides_the_exit_code(
    world: World, monkeypatch: pytest.MonkeyPatch, level: Level, code: int
) -> None:
    _ends_with(world, monkeypatch, lambda check_id: report_of(check_id, level=level, psi=0.31))
    done = _invoke("drift", "plums", "--batch", "b1")
    assert done.exit_code == code, done.output
    assert f"{level.value}: age moved." in done.stdout
    assert "0.3100" in done.stdout
    assert "The estimate can be trusted." in done.stdout


def test_a_failed_check_exits_with_one(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    _ends_with(world, monkeypatch, lambda _: "The rows are gone.")
    done = _invoke("drift", "plums", "--batch", "b1")
    assert (done.exit_code, "The rows are gone." in done.stdout) == (1, True)


def test_a_domain_classifier_may_be_asked_for(world: World) -> None:
    done = _invoke("drift", "plums", "--batch", "b1", "--domain-classifier", "--no-wait")
    assert done.exit_code == 0, done.output
    (command,) = [text for job, text in world.cluster.commands.items() if "check" in job]
    assert '"domain_classifier":true' in command


def test_for_machines_it_is_one_document(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    realized = report_of(performance=(performance_of(0.9, 0.85),), level=Level.CRITICAL)
    _ends_with(world, monkeypatch, lambda _: realized)
    done = _invoke("drift", "plums", "--batch", "b1", "--json")
    found = json.loads(done.stdout)
    assert done.exit_code == 42
    assert found["id"] == found["check"]["id"]
    assert found["check"]["level"] == found["report"]["verdict"]["level"] == "critical"
    assert found["report"]["performance"][0]["realized"]["value"] == 0.85


@pytest.mark.parametrize(
    ("options", "window"),
    [
        ((), "24h"),
        (("--window", "6h"), "6h"),
        (("--last-rows", "5000"), "5000 rows"),
    ],
)
def test_without_waiting_it_returns_at_once(
    world: World, options: tuple[str, ...], window: str
) -> None:
    done = _invoke("drift", "plums", *options, "--no-wait")
    (check,) = world.pilothouse.monitoring.list("plums")
    assert done.exit_code == 0, done.output
    assert done.stdout == f"Check {check.id} of plums, the last {window}, is queued.\n"


def test_only_one_thing_is_checked(world: World) -> None:
    done = _invoke("drift", "plums", "--batch", "b1", "--last-rows", "9")
    assert isinstance(done.exception, InvalidInputError)
    assert world.pilothouse.monitoring.list("plums") == ()


def test_an_unknown_batch_is_an_error(world: World) -> None:
    done = _invoke("drift", "plums", "--batch", "b9")
    assert isinstance(done.exception, NotFoundError)


def test_checks_are_listed_shown_logged_and_cancelled(world: World) -> None:
    started: Any = json.loads(_invoke("drift", "plums", "--no-wait", "--json").stdout)
    check_id = started["id"]
    (listed,) = json.loads(_invoke("checks", "list", "plums", "--json").stdout)
    assert (listed["id"], listed["window"]) == (check_id, "24h")
    assert check_id in _invoke("checks", "list").stdout
    assert json.loads(_invoke("checks", "show", check_id, "--json").stdout)["report"] is None
    path = check_folder(world.pilothouse.settings.home, check_id) / LOG_FILE
    path.parent.mkdir(parents=True)
    path.write_text("one\ntwo\n", encoding="utf-8")
    assert _invoke("checks", "logs", check_id, "--tail", "1").stdout == "two\n"
    assert "is cancelled. cancelled by operator" in _invoke("checks", "cancel", check_id).stdout


def test_the_past_error_of_the_estimate_is_printed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    past = estimator_of(past=(error_of(0.9, 0.85),)).model_copy(update={"mean_past_error": 0.05})
    _ends_with(world, monkeypatch, lambda check_id: report_of(check_id, estimator=past))
    printed = _invoke("drift", "plums", "--batch", "b1").output
    assert "Calibration error on the reference: 0.030, after NannyML's recalibration" in printed
    assert "Mean past error over 1 check with labels: 0.050." in printed
    row = next(line for line in printed.splitlines() if "e" * 32 in line)
    assert [cell.strip() for cell in row.split("│")[2:7]] == [
        "roc_auc",
        "1000",
        "0.9000",
        "0.8500",
        "0.0500",
    ]
