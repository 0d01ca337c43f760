"""The commands on batches, on fakes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from core import cli, cli_session
from core.errors import DataContractError, NotFoundError
from tests.unit.core_fakes import World, make_world

GOOD = "weight,stones,colour,taste\n40,1,blue,sweet\n95,,yellow,\n"


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    made = make_world(tmp_path)
    monkeypatch.setattr(cli_session, "connect", lambda: made.pilothouse)
    monkeypatch.setenv("COLUMNS", "250")
    yield made
    made.close()


def _invoke(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, ("batch", *arguments))


def _json_of(*arguments: str) -> Any:
    done = _invoke(*arguments, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def _file(folder: Path, content: str = GOOD, name: str = "monday.csv") -> str:
    (folder / name).write_text(content)
    return str(folder / name)


def test_a_file_becomes_a_batch(world: World, tmp_path: Path) -> None:
    path = _file(tmp_path)
    found = _json_of("add", "plums", path)
    (batch,) = world.pilothouse.batches.list("plums")
    assert (found["id"], found["is_new"]) == (batch.id, True)
    assert found["batch"]["name"] == "monday.csv"
    assert found["batch"]["added_by"] == "operator"
    again = _invoke("add", "plums", path)
    assert again.exit_code == 0
    assert f"The same file is there already: batch {batch.id}" in again.stdout
    assert _json_of("add", "plums", path)["is_new"] is False


def test_what_was_taken_in_is_printed(world: World, tmp_path: Path) -> None:
    shown = _invoke("add", "plums", _file(tmp_path)).stdout
    (batch,) = world.pilothouse.batches.list("plums")
    assert f"Batch {batch.id} of plums" in shown
    assert batch.data_version in shown
    assert "outside the usual range 20 to 90" in shown
    assert "The same file" not in shown


def test_a_refused_file_is_an_error_with_its_offences(world: World, tmp_path: Path) -> None:
    done = _invoke("add", "plums", _file(tmp_path, GOOD.replace("40", "0")))
    assert isinstance(done.exception, DataContractError)
    assert [one.row for one in done.exception.offences] == [0]
    assert isinstance(_invoke("add", "plums", "nowhere.csv").exception, NotFoundError)
    assert world.pilothouse.batches.list("plums") == ()


def test_batches_are_listed_and_shown(world: World, tmp_path: Path) -> None:
    assert _invoke("list", "plums").stdout == "Batches of plums: none\n"
    first = _json_of("add", "plums", _file(tmp_path))["id"]
    second = _json_of("add", "plums", _file(tmp_path, GOOD + "41,1,blue,sour\n", "[b].csv"))["id"]
    assert [one["id"] for one in _json_of("list", "plums")] == [second, first]
    assert [one["id"] for one in _json_of("list", "plums", "--limit", "1")] == [second]
    assert "[b].csv" in _invoke("list", "plums").stdout
    assert _json_of("show", first)["rows"] == 2
    assert "monday.csv" in _invoke("show", first).stdout


def test_two_batches_are_compared(world: World, tmp_path: Path) -> None:
    first = _json_of("add", "plums", _file(tmp_path))["id"]
    second = _json_of("add", "plums", _file(tmp_path, GOOD + "41,1,blue,sour\n", "b.csv"))["id"]
    found = _json_of("compare", second, first)
    assert found["comparison"]["first"]["rows"] == 2
    assert found["comparison"]["second"]["rows"] == 3
    shown = _invoke("compare", second, first).stdout
    assert "colour (category)" in shown
    assert "66.7%" in shown
    assert {one["name"]: one["first"] for one in found["comparison"]["schema"]} == {
        "weight": "number",
        "stones": "number",
        "colour": "text",
    }
    assert "today's contract" in shown
    assert isinstance(_invoke("compare", first, "reference").exception, NotFoundError)
