"""The command line with accounts: who a command acts for, and the commands on accounts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from core import cli, cli_session, cli_simulate
from core.access.people import HOST
from core.access.roles import Role
from core.errors import (
    ConflictError,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    SetupError,
    SignInError,
)
from core.promotion.audit import Action, Chosen
from core.settings import Settings
from tests.unit.core_fakes import World, make_world

TOKEN_LINE = re.compile(r"^phu_\S+$", re.MULTILINE)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    made = make_world(tmp_path)
    home = made.pilothouse.settings.home

    def connect() -> Any:
        # As a command does, which reads its environment each time.
        return replace(made.pilothouse, settings=Settings(home=home))

    monkeypatch.setattr(cli_session, "connect", connect)
    monkeypatch.setenv("COLUMNS", "250")
    monkeypatch.delenv("PILOTHOUSE_TOKEN", raising=False)
    monkeypatch.delenv("PILOTHOUSE_TOKEN_FILE", raising=False)
    yield made
    made.close()


def _invoke(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, arguments)


def _said(*arguments: str) -> str:
    done = _invoke(*arguments)
    assert done.exit_code == 0, done.output
    return done.stdout


def _json_of(*arguments: str) -> Any:
    return json.loads(_said(*arguments, "--json"))


def _refused(*arguments: str) -> BaseException | None:
    done = _invoke(*arguments)
    assert done.exit_code == 1
    return done.exception


def _token_of(world: World, name: str, role: Role) -> str:
    return world.pilothouse.accounts.add(name, role, actor=HOST).token


class TestWhoActs:
    def test_without_accounts_it_is_the_local_operator(self, world: World) -> None:
        assert _said("users", "whoami") == "operator, local operator.\n"
        found = _json_of("users", "whoami")
        assert found == {"name": "operator", "role": "local operator", "mode": "local"}

    def test_without_accounts_a_token_changes_nothing(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PILOTHOUSE_TOKEN", "phu_left-over")
        assert _said("users", "whoami") == "operator, local operator.\n"

    def test_a_token_in_the_environment(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PILOTHOUSE_TOKEN", _token_of(world, "olaf", Role.OPERATOR))
        assert _said("users", "whoami") == "olaf, operator.\n"
        assert _json_of("users", "whoami")["mode"] == "accounts"

    def test_a_token_in_a_file(
        self, world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        file = tmp_path / "token"
        file.write_text(_token_of(world, "olaf", Role.OPERATOR) + "\n")
        monkeypatch.setenv("PILOTHOUSE_TOKEN_FILE", str(file))
        assert _said("users", "whoami") == "olaf, operator.\n"

    def test_a_file_that_is_not_there_is_no_missing_token(
        self, world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        _token_of(world, "olaf", Role.OPERATOR)
        monkeypatch.setenv("PILOTHOUSE_TOKEN_FILE", str(tmp_path / "absent"))
        assert isinstance(_refused("users", "whoami"), SetupError)

    @pytest.mark.parametrize("token", ["", " "])
    def test_no_token(self, world: World, monkeypatch: pytest.MonkeyPatch, token: str) -> None:
        _token_of(world, "olaf", Role.OPERATOR)
        monkeypatch.setenv("PILOTHOUSE_TOKEN", token)
        refused = _refused("runs", "list")
        assert isinstance(refused, SignInError)
        assert "PILOTHOUSE_TOKEN" in refused.fix

    @pytest.mark.parametrize(
        "command", [("users", "whoami"), ("users", "add", "x", "--role=admin")]
    )
    def test_a_wrong_token_is_not_taken_for_none(
        self, world: World, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
    ) -> None:
        _token_of(world, "olaf", Role.OPERATOR)
        monkeypatch.setenv("PILOTHOUSE_TOKEN", "phu_wrong")
        refused = _refused(*command)
        assert isinstance(refused, SignInError)
        assert "phu_wrong" not in str(refused)
        assert [one.name for one in world.pilothouse.accounts.list()] == ["olaf"]

    def test_a_removed_persons_token_is_over(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        _token_of(world, "eve", Role.ADMIN)
        monkeypatch.setenv("PILOTHOUSE_TOKEN", _said("users", "recover", "eve").split("\n")[1])
        _said("users", "add", "olaf", "--role", "operator")
        world.pilothouse.accounts.add("ida", Role.ADMIN, actor="eve")
        world.pilothouse.accounts.remove("eve", actor="ida")
        assert isinstance(_refused("users", "whoami"), SignInError)

    def test_records_name_who_acted(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PILOTHOUSE_TOKEN", _token_of(world, "olaf", Role.OPERATOR))
        _said("run", "plums")
        (run,) = world.pilothouse.runs.list()
        assert run.started_by == "olaf"

    def test_a_simulation_of_its_own_asks_for_no_login(self, tmp_path: Path) -> None:
        configured = Settings(home=tmp_path, oidc_metadata_url="https://login.example.com/meta")
        assert not cli_simulate.simulation_settings(configured).has_login


class TestAdding:
    def test_the_token_is_printed_once_on_a_line_of_its_own(self, world: World) -> None:
        said = _said("users", "add", "Anna", "--role", "approver")
        (token,) = TOKEN_LINE.findall(said)
        assert said.startswith("anna is approver. The token, shown this once:")
        assert world.pilothouse.accounts.authenticate(token).name == "anna"

    def test_in_json(self, world: World) -> None:
        found = _json_of("users", "add", "anna", "--role", "viewer")
        assert (found["name"], found["role"], found["source"]) == ("anna", "viewer", "account")
        assert found["created_by"] == "operator"
        assert world.pilothouse.accounts.authenticate(found["token"]).name == "anna"

    def test_the_host_adds_until_there_is_an_admin(self, world: World) -> None:
        _said("users", "add", "anna", "--role", "approver")
        _said("users", "add", "eve", "--role", "admin")
        refused = _refused("users", "add", "mallory", "--role", "admin")
        assert isinstance(refused, ForbiddenError)
        assert "nobody has signed in" in str(refused)
        (row,) = world.pilothouse.audit.list(None, Chosen(outcome="refused"))
        assert (row.entry.action, row.entry.actor) == (Action.ACCOUNT_ADDED, HOST)

    def test_a_name_is_taken_or_cannot_be(self, world: World) -> None:
        _said("users", "add", "anna", "--role", "viewer")
        assert isinstance(_refused("users", "add", "anna", "--role", "viewer"), ConflictError)
        assert isinstance(_refused("users", "add", "../x", "--role", "viewer"), InvalidInputError)
        assert _invoke("users", "add", "bert", "--role", "king").exit_code == 2
        assert _invoke("users", "add", "bert").exit_code == 2


class TestManaging:
    @pytest.fixture(autouse=True)
    def eve(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PILOTHOUSE_TOKEN", _token_of(world, "eve", Role.ADMIN))
        world.pilothouse.accounts.add("anna", Role.OPERATOR, actor="eve")

    def test_a_list_names_everybody_and_no_secret(self, world: World) -> None:
        _said("users", "remove", "anna")
        found = _json_of("users", "list")
        assert [one["id"] for one in found] == ["anna", "eve"]
        assert found[0]["removed_at"]
        assert not found[1]["removed_at"]
        assert not any("token" in name for one in found for name in one)
        table = _said("users", "list")
        assert "anna" in table
        assert "phu_" not in table

    def test_another_role(self, world: World) -> None:
        assert _said("users", "role", "anna", "--role", "approver") == (
            "anna is approver from now on.\n"
        )
        assert _json_of("users", "role", "anna", "--role", "viewer")["role"] == "viewer"
        assert world.pilothouse.accounts.role_of("anna") == "viewer"

    def test_removal(self, world: World) -> None:
        assert _said("users", "remove", "anna") == "anna may not sign in any more.\n"
        assert world.pilothouse.accounts.find("anna") is None
        assert isinstance(_refused("users", "remove", "anna"), NotFoundError)

    def test_the_only_admin_stays(self, world: World) -> None:
        assert isinstance(_refused("users", "remove", "eve"), ConflictError)
        assert isinstance(_refused("users", "role", "eve", "--role", "viewer"), ConflictError)

    def test_a_new_token_for_somebody(self, world: World) -> None:
        (token,) = TOKEN_LINE.findall(_said("users", "token", "anna"))
        account = world.pilothouse.accounts.authenticate(token)
        assert (account.name, account.token_issued_by) == ("anna", "eve")

    def test_a_viewer_renews_their_own_and_nobody_elses(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (first,) = TOKEN_LINE.findall(_said("users", "add", "vera", "--role", "viewer"))
        monkeypatch.setenv("PILOTHOUSE_TOKEN", first)
        assert isinstance(_refused("users", "token", "anna"), ForbiddenError)
        (own,) = TOKEN_LINE.findall(_said("users", "token", "vera"))
        assert isinstance(_refused("users", "whoami"), SignInError)
        assert world.pilothouse.accounts.authenticate(own).token_issued_by == "vera"

    def test_the_host_lets_an_admin_in_again(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("PILOTHOUSE_TOKEN")
        (token,) = TOKEN_LINE.findall(_said("users", "recover", "eve"))
        assert world.pilothouse.accounts.authenticate(token).name == "eve"
        assert isinstance(_refused("users", "recover", "anna"), ConflictError)
        assert isinstance(_refused("users", "recover", "nobody"), NotFoundError)
