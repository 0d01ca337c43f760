"""The commands on the audit trail, on fakes and a real database."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from core import cli, cli_audit, cli_session
from core.errors import InvalidInputError
from core.promotion.audit import Action, Outcome
from core.promotion.audit_export import FIELDS
from tests.unit.core_fakes import World, make_world

FORMULAS = ["=1+1", "+cmd|x", "-2+3", "@SUM(A1)", "\tx", "\rx"]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    made = make_world(tmp_path)
    monkeypatch.setattr(cli_session, "connect", lambda: made.pilothouse)
    audit = made.pilothouse.audit
    for place, reason in enumerate(FORMULAS):
        audit.record(
            Action.RUN_STARTED,
            actor="ann",
            object=f"run {place}",
            problem="plums",
            reason=reason,
        )
    audit.record(
        Action.PROMOTED,
        at=datetime.now(UTC) - timedelta(days=3),
        actor="ben",
        object="plums v1",
        outcome=Outcome.REFUSED,
        detail="Too soon.\nmore for machines",
    )
    yield made
    made.close()


def _invoke(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, ["audit", *arguments])


def _ids(*arguments: str) -> list[int]:
    done = _invoke("list", *arguments, "--json")
    assert done.exit_code == 0, done.output
    return [one["id"] for one in json.loads(done.stdout)]


def _edit(world: World, statement: str) -> None:
    with closing(sqlite3.connect(world.pilothouse.settings.home / "pilothouse.db")) as connection:
        with connection:
            connection.execute(statement)


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ((), [7, 6, 5, 4, 3, 2, 1]),
        (("--limit", "2"), [7, 6]),
        (("--actor", "ben"), [7]),
        (("--problem", "plums", "--limit", "1"), [6]),
        (("--action", "promoted"), [7]),
        (("--outcome", "refused"), [7]),
        (("--since", "2d"), [6, 5, 4, 3, 2, 1]),
        (("--since", "100h", "--actor", "ben"), [7]),
        (("--actor", "nobody"), []),
    ],
)
def test_rows_are_listed_newest_first(
    world: World, arguments: tuple[str, ...], wanted: list[int]
) -> None:
    assert _ids(*arguments) == wanted


def test_a_list_for_people_has_one_line_a_row(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = _invoke("list", "--actor", "ben").stdout
    assert "Too soon." in text
    assert "for machines" not in text
    assert _invoke("list", "--actor", "nobody").stdout == "Audit trail: none\n"
    assert _invoke("list", "--action", "nothing").exit_code != 0


def test_a_whole_trail_is_verified(world: World) -> None:
    done = _invoke("verify")
    assert (done.exit_code, done.stdout) == (
        0,
        "The audit trail is whole: 7 rows, anchored up to row 7.\n",
    )
    assert json.loads(_invoke("verify", "--json").stdout)["is_whole"] is True


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE audit SET actor = 'eve' WHERE sequence = 3", "edited: Row 3 is not"),
        ("DELETE FROM audit WHERE sequence = 2", "removed: Row 2 was removed."),
        ("DELETE FROM audit WHERE sequence > 5", "cut off: Rows 6 to 7 were cut off"),
        ("UPDATE audit SET sequence = 9 WHERE sequence = 7", "moved: Row 9 was moved"),
    ],
)
def test_what_is_wrong_is_named_and_the_exit_code_says_so(
    world: World, statement: str, said: str
) -> None:
    _edit(world, statement)
    done = _invoke("verify")
    assert done.exit_code == 1
    assert said in done.stdout
    found = json.loads(_invoke("verify", "--json").stdout)
    assert found["is_whole"] is False
    assert found["verification"]["findings"][0]["text"] in done.stdout


def test_json_lines_hold_every_field_oldest_first(world: World, tmp_path: Path) -> None:
    lines = _invoke("export").stdout.splitlines()
    rows = [json.loads(line) for line in lines]
    assert [row["sequence"] for row in rows] == list(range(1, 8))
    assert set(rows[0]) == set(FIELDS)
    assert [row["reason"] for row in rows[:6]] == FORMULAS
    assert rows[1]["previous"] == rows[0]["hash"]
    file = tmp_path / "trail.jsonl"
    assert _invoke("export", str(file), "--actor", "ben").exit_code == 0
    (row,) = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert row["detail"] == "Too soon.\nmore for machines"
    assert datetime.fromisoformat(row["at"]).tzinfo is not None


def test_a_csv_file_has_no_formula(world: World, tmp_path: Path) -> None:
    def cells(text: str) -> list[dict[str, Any]]:
        return list(csv.DictReader(io.StringIO(text, newline="")))

    file = tmp_path / "trail.csv"
    assert _invoke("export", str(file)).stdout == f"7 rows in {file}.\n"
    with file.open(encoding="utf-8", newline="") as opened:
        rows = cells(opened.read())
    assert [row["reason"] for row in rows[:6]] == [f"'{one}" for one in FORMULAS]
    assert not any(
        value.startswith(("=", "+", "-", "@", "\t", "\r")) for row in rows for value in row.values()
    )
    same = CliRunner().invoke(cli.app, ["audit", "export", "--format", "csv"])
    assert cells(same.stdout_bytes.decode())[6]["detail"] == "Too soon.\nmore for machines"


def test_an_export_that_cannot_be_written_says_so(world: World, tmp_path: Path) -> None:
    done = _invoke("export", str(tmp_path / "no" / "folder.csv"))
    assert done.exit_code != 0
    assert "cannot be written (No such file or directory)" in str(done.exception)


def test_the_anchor_is_set_anew_with_a_reason(world: World) -> None:
    _edit(world, "DELETE FROM audit WHERE sequence > 5")
    assert _invoke("anchor", "--reason", "  ").exit_code != 0
    assert _invoke("anchor", "--reason", "A backup was restored.").exit_code == 0
    assert _invoke("verify").exit_code == 0
    entry = world.pilothouse.audit.list(1)[0].entry
    assert (entry.reason, entry.actor) == ("A backup was restored.", "operator")
    assert "Rows 6 to 7 were cut off" in entry.detail


def test_a_time_is_read() -> None:
    now = datetime(2026, 11, 21, 12, tzinfo=UTC)
    assert cli_audit.read_moment("24h", now) == now - timedelta(days=1)
    assert cli_audit.read_moment("2026-11-01", now) == datetime(2026, 11, 1, tzinfo=UTC)
    assert cli_audit.read_moment("2026-11-01T10:00+02:00", now) == datetime(
        2026, 11, 1, 8, tzinfo=UTC
    )
    for text in ("soon", "", "3w", "2026-13-01"):
        with pytest.raises(InvalidInputError):
            cli_audit.read_moment(text, now)
