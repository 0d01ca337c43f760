"""The commands on backups, on fakes and a real database."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from core import cli, cli_session
from core.access.roles import Role
from core.bootstrap import Pilothouse, connect
from core.errors import ConflictError, ForbiddenError
from core.promotion.audit import Action
from core.settings import Settings, load_settings
from tests.unit.core_fakes import World, make_world


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    made = make_world(tmp_path)
    monkeypatch.setenv("PILOTHOUSE_HOME", str(made.pilothouse.settings.home))

    def connected(settings: Settings | None = None) -> Pilothouse:
        return made.pilothouse

    monkeypatch.setattr(cli_session, "connect", connected)
    yield made
    made.close()


def _invoke(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, ["backup", *arguments])


def _done(*arguments: str) -> str:
    result = _invoke(*arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_by_itself_it_makes_one_in_the_home(world: World) -> None:
    said = _done()
    (file,) = (world.pilothouse.settings.home / "backups").iterdir()
    assert str(file) in said
    assert "holds the keys" in said
    assert "Not in it: MLflow's database" in said
    assert "copy it to another machine" in said


def test_it_is_made_where_it_is_told(world: World, tmp_path: Path) -> None:
    made = json.loads(_done("create", "--to", str(tmp_path / "b.tar.gz"), "--json"))
    assert made["id"] == "b.tar.gz"
    assert made["description"]["with_secrets"] is True
    shown = json.loads(_done("show", str(tmp_path / "b.tar.gz"), "--json"))
    assert shown["sha256"] == made["sha256"]
    parts = {part["id"]: part["files"] for part in shown["parts"]}
    assert parts["database"] == parts["anchor of the audit trail"] == 1
    assert sum(parts.values()) == made["files"]


def test_without_secrets_it_says_what_that_means(world: World, tmp_path: Path) -> None:
    said = _done("create", "--without-secrets", "--to", str(tmp_path / "b.tar.gz"))
    assert "holds no keys" in said
    assert "copy it to another machine" not in said
    assert "without secrets" in _done("show", str(tmp_path / "b.tar.gz"))


def test_it_is_restored_and_said_what_became_of_it(world: World, tmp_path: Path) -> None:
    home = world.pilothouse.settings.home
    _done("create", "--to", str(tmp_path / "b.tar.gz"))
    refused = _invoke("restore", str(tmp_path / "b.tar.gz"))
    assert isinstance(refused.exception, ConflictError)
    assert "--replace" in refused.exception.fix
    said = _done("restore", str(tmp_path / "b.tar.gz"), "--replace", "--reason", "a drill")
    (aside,) = home.glob("before-restore-*")
    assert str(aside) in said
    assert "revoke again" in said
    again = connect(load_settings())
    try:
        (newest,) = again.audit.list(1)
        assert newest.entry.action == Action.BACKUP_RESTORED
        assert newest.entry.reason == "a drill"
    finally:
        again.database.close()


def test_an_empty_home_asks_nobody_who_they_are(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = world.pilothouse.settings.home
    _done("create", "--to", str(tmp_path / "b.tar.gz"))
    world.close()
    shutil.rmtree(home)

    def nobody(settings: Settings | None = None) -> Pilothouse:
        raise AssertionError("there is nothing to connect to")

    monkeypatch.setattr(cli_session, "connect", nobody)
    done = json.loads(_done("restore", str(tmp_path / "b.tar.gz"), "--json"))
    assert done["aside"] is None
    assert (home / "pilothouse.db").exists()


def test_a_viewer_restores_nothing(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _done("create", "--to", str(tmp_path / "b.tar.gz"))
    accounts = world.pilothouse.accounts
    accounts.add("eve", Role.ADMIN, actor="operator")
    token = accounts.add("vic", Role.VIEWER, actor="eve").token
    monkeypatch.setenv("PILOTHOUSE_TOKEN", token)

    def connected(settings: Settings | None = None) -> Pilothouse:
        return replace(world.pilothouse, settings=load_settings())

    monkeypatch.setattr(cli_session, "connect", connected)
    refused = _invoke("restore", str(tmp_path / "b.tar.gz"), "--replace")
    assert isinstance(refused.exception, ForbiddenError)
    (newest,) = world.pilothouse.audit.list(1)
    assert (newest.entry.action, newest.entry.outcome) == (Action.BACKUP_RESTORED, "refused")
    assert not list(world.pilothouse.settings.home.glob("before-restore-*"))


def test_a_broken_database_is_what_backups_are_for(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = world.pilothouse.settings.home
    _done("create", "--to", str(tmp_path / "b.tar.gz"))
    world.close()
    for file in home.glob("pilothouse.db*"):
        file.unlink()
    (home / "pilothouse.db").write_bytes(b"plums" * 10_000)
    monkeypatch.setattr(cli_session, "connect", connect)
    said = _done("restore", str(tmp_path / "b.tar.gz"), "--replace")
    assert "was not looked up" in said
    again = connect(load_settings())
    try:
        assert again.audit.verify().is_whole
    finally:
        again.database.close()
