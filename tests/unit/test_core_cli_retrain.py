"""The command that asks the policy of retraining, on fakes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from core import cli, cli_session
from core.monitoring.report import Topic
from tests.unit.alert_values import CRITICAL, report_of
from tests.unit.watching_fakes import Watched, watched


@pytest.fixture
def it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    with watched(tmp_path) as made:
        own = replace(made.world.pilothouse, retraining=made.retraining)
        monkeypatch.setattr(cli_session, "connect", lambda: own)
        made.promote()
        yield made


def _invoke(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, ["retrain", "plums", *arguments])


def _drift(it: Watched) -> None:
    it.batches.add("b1", 100)
    it.checks.find(report_of({Topic.DRIFT: CRITICAL}))


def test_with_nothing_to_do_it_says_why_and_is_content(it: Watched) -> None:
    done = _invoke()
    assert done.exit_code == 0
    assert "No check has finished yet." in done.stdout
    assert "Nothing is to be done." in done.stdout


def test_a_dry_run_starts_nothing(it: Watched) -> None:
    _drift(it)
    done = _invoke("--dry-run", "--json")
    told = json.loads(done.stdout)
    assert (done.exit_code, told["decision"]["retrain"], told["run"]) == (0, True, None)
    assert "The policy wants a retrain." in _invoke("--dry-run").stdout
    assert it.world.pilothouse.database.active_runs() == ()


def test_a_run_is_started_with_its_reasons(it: Watched) -> None:
    _drift(it)
    told = json.loads(_invoke("--json").stdout)
    (run,) = it.world.pilothouse.database.active_runs()
    assert told["run"]["id"] == run.id
    speaks = {reason["about"]: reason["speaks"] for reason in told["decision"]["reasons"]}
    assert speaks["critical_drift"] == "for"
    assert "Nothing is to be done." in _invoke().stdout
