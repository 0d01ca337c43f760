"""The commands on keys, on fakes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from core import cli, cli_keys, cli_session
from core.access.key_ring import KeyRing
from core.access.serving_key import Scope, digest_of
from core.adapters.database_keys import KeyRecords
from core.errors import InvalidInputError
from tests.unit.core_fakes import World, make_world


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    made = make_world(tmp_path)
    monkeypatch.setattr(cli_session, "connect", lambda: made.pilothouse)
    yield made
    made.close()


def _invoke(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, ["keys", *arguments])


def _made(*arguments: str) -> str:
    result = _invoke("add", "plums", "--name", "the shop", *arguments)
    assert result.exit_code == 0, result.output
    return result.stdout.splitlines()[0]


def test_a_made_key_is_printed_alone_on_its_line_and_then_never(world: World) -> None:
    token = _made()
    pilothouse = world.pilothouse
    limits = pilothouse.params.serving.limits
    told = KeyRing(pilothouse.settings, limits, KeyRecords(pilothouse.database)).admission()
    assert [key.sha256 for key in told.keys] == [digest_of(token)]
    assert token[-64:] not in _invoke("list").output
    assert token[-64:] not in _invoke("list", "--json").output
    (key,) = pilothouse.keys.list()
    assert key.scopes == (Scope.PREDICT,)
    assert key.created_by == pilothouse.settings.operator


def test_json_of_a_made_key(world: World) -> None:
    options = ("--scope", "labels", "--scope", "predict", "--requests-per-second", "5", "--json")
    result = _invoke("add", "plums", "--name", "the shop", *options, "--expires", "90d")
    document = json.loads(result.stdout)
    (key,) = world.pilothouse.keys.list()
    assert document["id"] == document["key"]["id"] == key.id
    assert document["token"].startswith(f"ph_{key.id}_")
    assert document["key"]["scopes"] == ["predict", "labels"]
    assert document["key"]["requests_per_second"] == 5
    assert key.expires_at is not None
    assert abs(key.expires_at - datetime.now(UTC) - timedelta(days=90)) < timedelta(minutes=1)


def test_the_list_says_how_a_key_stands(world: World) -> None:
    assert "Keys: none" in _invoke("list").output
    _made()
    (key,) = world.pilothouse.keys.list()
    assert " valid " in _invoke("list", "plums").output
    assert "none" in _invoke("list", "pears").output
    result = _invoke("revoke", key.id)
    assert result.exit_code == 0
    assert f"Key {key.id} (the shop) is revoked." in result.stdout
    assert "revoked by operator" in _invoke("list").output
    (document,) = json.loads(_invoke("list", "--json").stdout)
    assert document["id"] == key.id
    assert document["revoked_by"] == "operator"


def test_make_is_another_word_for_add(world: World) -> None:
    result = _invoke("make", "plums", "--name", "the shop", "--json")
    assert json.loads(result.stdout)["id"] == world.pilothouse.keys.list()[0].id


def test_json_of_a_revoked_key(world: World) -> None:
    _made()
    (key,) = world.pilothouse.keys.list()
    document = json.loads(_invoke("revoke", key.id, "--json").stdout)
    assert (document["id"], document["revoked_by"]) == (key.id, "operator")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, None),
        ("1d", datetime(2026, 1, 2, 6, tzinfo=UTC)),
        ("2027-01-31", datetime(2027, 1, 31, tzinfo=UTC)),
        ("2027-01-31T12:30", datetime(2027, 1, 31, 12, 30, tzinfo=UTC)),
        ("2027-01-31T12:30+02:00", datetime(2027, 1, 31, 10, 30, tzinfo=UTC)),
    ],
)
def test_ways_to_say_when_a_key_expires(text: str | None, expected: datetime | None) -> None:
    assert cli_keys._time_of(text, datetime(2026, 1, 1, 6, tzinfo=UTC)) == expected


@pytest.mark.parametrize("text", ["", "soon", "90", "-1d", "99999d"])
def test_a_time_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError, match="is no time"):
        cli_keys._time_of(text, datetime(9999, 1, 1, tzinfo=UTC))
