"""Access: people, keys and roles, over accounts and keys in a real database."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType

import pytest
import streamlit as st

from app.access import visitor as visiting
from app.access.sessions import Sessions
from app.components.keys_view import key_word, keys_frame
from app.components.people_view import people_frame, removed_frame
from app.components.role_table import additions
from core.access.account import Account, Source
from core.access.roles import Mode, Role
from core.access.serving_key import Scope, ServingKey
from core.adapters.database_accounts import AccountRecords
from core.bootstrap import Pilothouse
from core.errors import SignInError, UnavailableError
from tests.unit.app_fakes import AppTest, FakeHealth, open_panel, services, texts
from tests.unit.core_fakes import make_world

NOW = datetime(2026, 4, 1, 9, 30, tzinfo=UTC)
DAY = timedelta(days=1)


@dataclass
class House:
    """An installation whose pages are opened by whoever has signed in."""

    pilothouse: Pilothouse
    sessions: Sessions
    monkeypatch: pytest.MonkeyPatch

    def as_module(self) -> ModuleType:
        module = ModuleType("core.bootstrap")
        vars(module)["connect"] = lambda: self.pilothouse
        return module

    def open(self, name: str = "", **query: str) -> AppTest:
        brought = {}
        if name:
            mark = self.pilothouse.accounts.token_mark(name)
            brought = {self.sessions.cookie: self.sessions.begin(name, mark)}
        self.monkeypatch.setattr(visiting, "sessions", lambda: self.sessions)
        self.monkeypatch.setattr(type(st.context), "cookies", property(lambda _: brought))
        panel = open_panel(self.monkeypatch, self, "access", **query)
        assert not panel.exception
        return panel

    def records(self) -> AccountRecords:
        return AccountRecords(self.pilothouse.database)


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    world = make_world(tmp_path)
    core = replace(world.pilothouse, health=FakeHealth(services()))
    yield House(core, Sessions(b"k" * 32, longest_s=3600.0), monkeypatch)
    world.close()


@pytest.fixture
def team(house: House) -> House:
    accounts = house.pilothouse.accounts
    accounts.add("eve", Role.ADMIN, actor="operator")
    accounts.add("anna", Role.OPERATOR, actor="eve")
    accounts.add("vera", Role.VIEWER, actor="eve")
    return house


def _press(panel: AppTest, label: str) -> AppTest:
    next(one for one in panel.button if one.label == label).click().run()
    assert not panel.exception
    return panel


def _type(panel: AppTest, label: str, text: str) -> None:
    next(one for one in panel.text_input if one.label == label).set_value(text)


def _names(panel: AppTest) -> list[str]:
    return panel.dataframe[0].value["Account"].tolist()


class TestLocal:
    def test_one_local_operator_is_told_the_steps_up(self, house: House) -> None:
        panel = house.open()
        said = texts(panel)
        assert "whoever opens this page is **operator**" in said
        assert "pilothouse users add anna --role admin" in said
        assert "PILOTHOUSE_OIDC_METADATA_URL" in said
        assert "You act under the role **local operator**" in said
        assert "People" not in [one.value for one in panel.subheader]

    def test_keys_are_made_without_accounts_as_well(self, house: House) -> None:
        panel = _press(house.open(), "Make a key")
        _type(panel, "Held by", "the shop")
        _press(panel, "Make")
        (key,) = house.pilothouse.keys.list()
        assert (key.name, key.created_by, key.scopes) == ("the shop", "operator", (Scope.PREDICT,))
        assert key.expires_at is not None


class TestPeople:
    def test_an_admin_sees_everybody(self, team: House) -> None:
        team.pilothouse.accounts.remove("vera", actor="eve")
        panel = team.open("eve")
        assert _names(panel) == ["anna", "eve"]
        assert panel.dataframe[1].value["Account"].tolist() == ["vera"]
        assert "You are **eve**, role **admin**." in texts(panel)
        assert "operator made your token and knows it" in texts(panel)

    def test_a_token_is_shown_once(self, team: House) -> None:
        panel = _press(team.open("eve"), "Add an account")
        _type(panel, "Name of the account", "Bert")
        panel.radio[0].set_value(Role.APPROVER)
        _press(panel, "Add")
        token = next(one.value for one in panel.code if one.value.startswith("phu_"))
        assert "shown this once" in texts(panel)
        assert token not in str(panel.session_state)
        account = team.pilothouse.accounts.authenticate(token)
        assert (account.name, account.role, account.created_by) == ("bert", Role.APPROVER, "eve")
        _press(panel, "Done")
        assert token not in texts(panel)
        assert "bert" in _names(panel)

    def test_a_name_that_cannot_be_is_told_and_the_form_stays(self, team: House) -> None:
        panel = _press(team.open("eve"), "Add an account")
        _type(panel, "Name of the account", "a b")
        _press(panel, "Add")
        assert "cannot be the name of an account" in panel.error[0].value
        assert any(one.label == "Add" for one in panel.button)

    def test_another_role(self, team: House) -> None:
        panel = _press(team.open("eve", person="anna"), "Change the role")
        panel.radio[0].set_value(Role.APPROVER).run()
        panel.button(key="change-role").click().run()
        assert team.pilothouse.accounts.role_of("anna") == "approver"
        assert not panel.radio

    def test_the_only_admin_stays_and_the_page_says_why(self, team: House) -> None:
        panel = _press(team.open("eve", person="eve"), "Remove")
        _press(panel, "Remove eve")
        assert "eve is the only admin" in panel.warning[0].value
        assert team.pilothouse.accounts.find("eve")

    def test_a_new_token_ends_the_one_before(self, team: House) -> None:
        before = team.pilothouse.accounts.issue_token("anna", actor="anna").token
        panel = _press(team.open("eve", person="anna"), "New token")
        assert "out within seconds" in texts(panel)
        _press(panel, "Make a new token")
        token = next(one.value for one in panel.code if one.value.startswith("phu_"))
        assert team.pilothouse.accounts.authenticate(token).name == "anna"
        with pytest.raises(SignInError):
            team.pilothouse.accounts.authenticate(before)

    def test_a_new_token_of_ones_own_is_read_before_the_session_ends(self, team: House) -> None:
        panel = _press(team.open("eve", person="eve"), "New token")
        _press(panel, "Make a new token")
        token = next(one.value for one in panel.code if one.value.startswith("phu_"))
        assert team.pilothouse.accounts.authenticate(token).name == "eve"
        # Whoever sits here is looked at again and again.
        assert "You are **eve**, role **admin**." in texts(panel.run())

    def test_removal_asks_first(self, team: House) -> None:
        panel = _press(team.open("eve", person="anna"), "Remove")
        assert team.pilothouse.accounts.find("anna")
        _press(panel, "Remove anna")
        assert team.pilothouse.accounts.find("anna") is None
        assert _names(panel) == ["eve", "vera"]

    def test_whoever_is_no_admin_sees_their_own(self, team: House) -> None:
        panel = team.open("vera")
        said = texts(panel)
        assert "You are **vera**, role **viewer**." in said
        assert "ask one of them: eve" in said
        assert "**approver**: approve and reject requests" in said
        assert "anna" not in said
        assert not panel.dataframe

    def test_with_a_login_roles_come_from_there(
        self, team: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        records, now = team.records(), datetime.now(UTC)
        records.add(Account("ida", Role.OPERATOR, Source.LOGIN, now, "login", last_seen_at=now))
        monkeypatch.setattr(type(team.pilothouse.accounts), "mode", property(lambda _: Mode.OIDC))
        monkeypatch.setattr(
            visiting, "visitor", lambda core: visiting.Visitor("eve", Mode.OIDC, Role.ADMIN)
        )
        monkeypatch.setattr("app.components.installation.visitor", visiting.visitor)
        monkeypatch.setattr("app.components.who.visitor", visiting.visitor)
        panel = team.open("eve", person="ida")
        change = next(one for one in panel.button if one.label == "Change the role")
        assert change.disabled
        assert change.help == "The provider of logins gives the role."
        assert any(one.label == "Token for the command line" for one in panel.button)

    def test_a_thousand_people(self, team: House) -> None:
        records = team.records()
        for number in range(1_000):
            name = f"person-{number}"
            records.add(Account(name, Role.VIEWER, Source.ACCOUNT, NOW, "eve"))
        panel = team.open("eve", person="person-777")
        assert len(panel.dataframe[0].value) == 1_003
        assert "1,003 accounts" in texts(panel)
        assert any("person-777" in one.value for one in panel.markdown)

    def test_what_cannot_be_read_is_said(
        self, team: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail() -> None:
            raise UnavailableError("The database does not answer.")

        monkeypatch.setattr(team.pilothouse.accounts, "list", fail)
        monkeypatch.setattr(team.pilothouse.keys, "list", fail)
        panel = team.open("eve")
        assert [one.value for one in panel.warning] == ["**The database does not answer.**"] * 2
        assert "**viewer**: read everything" in texts(panel)


class TestKeys:
    def test_a_key_is_shown_once_and_revoked(self, team: House) -> None:
        panel = _press(team.open("eve"), "Make a key")
        assert "No key has been made yet." in panel.info[0].value
        _type(panel, "Held by", "the shop")
        _press(panel, "Make")
        (key,) = team.pilothouse.keys.list()
        token = next(one.value for one in panel.code if one.value.startswith(f"ph_{key.id}"))
        _press(panel, "Done")
        assert token not in texts(panel)
        panel = _press(team.open("eve", key=key.id), "Revoke")
        _press(panel, "Revoke the shop")
        (revoked,) = team.pilothouse.keys.list()
        assert revoked.revoked_by == "eve"
        assert next(one for one in panel.button if one.label == "Revoke").disabled

    def test_what_is_wrong_with_a_key_is_said(self, team: House) -> None:
        panel = _press(_press(team.open("eve"), "Make a key"), "Make")
        assert "No key was made: name" in panel.error[0].value
        assert team.pilothouse.keys.list() == ()


class TestTables:
    def test_people(self) -> None:
        anna = Account("anna", Role.VIEWER, Source.LOGIN, NOW, "login", last_seen_at=NOW)
        bert = replace(anna, name="bert", last_seen_at=None, token_issued_by="eve")
        frame = people_frame([anna, bert])
        assert frame["Token from"].tolist() == ["–", "eve"]
        assert frame["Last seen (UTC)"].isna().tolist() == [False, True]

    def test_those_who_went_last_come_first(self) -> None:
        gone = [
            Account(str(day), Role.VIEWER, Source.ACCOUNT, NOW, "eve", removed_at=NOW + day * DAY)
            for day in (1, 3, 2)
        ]
        assert removed_frame(gone)["Account"].tolist() == ["3", "2", "1"]

    def test_keys(self) -> None:
        key = ServingKey("k1", "plums", "shop", (Scope.PREDICT, Scope.LABELS), NOW, "eve")
        expired = replace(key, expires_at=NOW)
        revoked = replace(expired, revoked_at=NOW, revoked_by="eve")
        assert [key_word(one, NOW) for one in (key, expired, revoked)] == [
            "✓ valid",
            "◇ expired",
            "✕ revoked",
        ]
        assert keys_frame([key], NOW)["Scopes"].tolist() == ["predict, labels"]

    def test_roles_in_words(self) -> None:
        assert additions()[Role.VIEWER] == "read everything; renew their own token"
        assert additions()[Role.ADMIN].startswith("manage accounts; make and revoke keys")
