"""Who sits before a page: what they see, and that nobody sees nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
import streamlit as st

from app.access import visitor as visiting
from app.access.provider import secrets_of
from app.access.sessions import Sessions
from app.components import installation
from core.access.claims import ClaimRules
from core.access.login import Login
from core.access.roles import Mode, Role
from core.errors import SignInError
from tests.unit.app_fakes import FakeCore, make_core, make_run, open_panel, texts

HOUR_S = 3600


@pytest.fixture
def sessions(monkeypatch: pytest.MonkeyPatch) -> Sessions:
    made = Sessions(b"k" * 32, longest_s=12 * HOUR_S)
    monkeypatch.setattr(visiting, "sessions", lambda: made)
    return made


@pytest.fixture
def team(sessions: Sessions) -> FakeCore:
    core = make_core(make_run(2), make_run(1), production=2)
    core.accounts.mode = Mode.ACCOUNTS
    core.accounts.give("anna", Role.OPERATOR, issued_by="ada")
    return core


def bring_cookie(monkeypatch: pytest.MonkeyPatch, sessions: Sessions, cookie: str) -> None:
    brought = {sessions.cookie: cookie}
    monkeypatch.setattr(type(st.context), "cookies", property(lambda _: brought))


def bring_claims(monkeypatch: pytest.MonkeyPatch, **claims: object) -> None:
    said = {"iss": "https://login", "sub": "1", "iat": datetime.now(UTC).timestamp() - 60, **claims}
    monkeypatch.setattr(visiting, "_claims", lambda: said)
    seen = visiting.Seen()
    monkeypatch.setattr(visiting, "_seen", lambda: seen)


def test_nobody_sees_nothing(monkeypatch: pytest.MonkeyPatch, team: FakeCore) -> None:
    for page in ("", "audit", "approvals"):
        panel = open_panel(monkeypatch, team, page)
        assert texts(panel).strip() == "You are signed out. The sign-in page comes at once."
        assert [*panel.sidebar.caption, *panel.button, *panel.get("page_link")] == []


def test_a_person_acts_under_their_own_name(
    monkeypatch: pytest.MonkeyPatch, team: FakeCore, sessions: Sessions
) -> None:
    bring_cookie(monkeypatch, sessions, sessions.begin("anna", "1"))
    panel = open_panel(monkeypatch, team, "train")
    assert panel.sidebar.caption[0].value == (
        "You act as **anna**, role operator: signed in with a token that **ada** has made and "
        "knows as well."
    )
    next(one for one in panel.button if one.label == "Start the run").click().run()
    assert [started[-1] for started in team.runs.started] == ["anna"]


def test_who_is_removed_sees_nothing_from_the_next_run_on(
    monkeypatch: pytest.MonkeyPatch, team: FakeCore, sessions: Sessions
) -> None:
    bring_cookie(monkeypatch, sessions, sessions.begin("anna", "1"))
    panel = open_panel(monkeypatch, team)
    assert "Production v2" in texts(panel)
    del team.accounts.people["anna"]
    assert "Production v2" not in texts(panel.run())
    with pytest.raises(SignInError):
        installation.pilothouse()
    with pytest.raises(SignInError):
        installation.actor()


def test_a_button_pressed_too_late_does_nothing(
    monkeypatch: pytest.MonkeyPatch, team: FakeCore, sessions: Sessions
) -> None:
    bring_cookie(monkeypatch, sessions, sessions.begin("anna", "1"))
    panel = open_panel(monkeypatch, team, "train")
    button = next(one for one in panel.button if one.label == "Start the run")
    team.accounts.issue_token("anna", actor="ada")
    button.click().run()
    assert team.runs.started == []


@pytest.mark.parametrize("cookie", ["", "no cookie of ours", "eyJ.forged.one"])
def test_a_cookie_that_we_have_not_signed_is_nobodys(
    monkeypatch: pytest.MonkeyPatch, team: FakeCore, sessions: Sessions, cookie: str
) -> None:
    bring_cookie(monkeypatch, sessions, cookie)
    assert "Production v2" not in texts(open_panel(monkeypatch, team))


def test_whoever_has_a_token_of_somebody_elses_making_is_offered_another(
    monkeypatch: pytest.MonkeyPatch, team: FakeCore, sessions: Sessions
) -> None:
    bring_cookie(monkeypatch, sessions, sessions.begin("anna", "1"))
    panel = open_panel(monkeypatch, team)
    next(one for one in panel.sidebar.button if one.label == "Renew my token").click().run()
    assert "Whoever made a token for somebody knows it." in texts(panel)
    assert "Renew" in [one.label for one in panel.button]
    assert team.accounts.marks == {"anna": 1}

    team.accounts.issue_token("anna", actor="anna")
    bring_cookie(monkeypatch, sessions, sessions.begin("anna", "2"))
    panel = open_panel(monkeypatch, team)
    assert "a token that only you know" in panel.sidebar.caption[0].value


def test_a_login_becomes_an_account_once_in_a_while(
    monkeypatch: pytest.MonkeyPatch, team: FakeCore
) -> None:
    team.accounts.mode = Mode.OIDC
    bring_claims(monkeypatch, email="anna@example.com", roles=["viewer", "approver"])
    panel = open_panel(monkeypatch, team, "approvals")
    assert panel.sidebar.caption[0].value == (
        "You act as **anna@example.com**, role approver: the provider of logins says so."
    )
    assert team.accounts.logins == [("anna@example.com", Role.APPROVER)]
    assert "Renew my token" not in [one.label for one in panel.button]


def test_before_a_login_there_is_a_button_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, team: FakeCore
) -> None:
    team.accounts.mode = Mode.OIDC
    monkeypatch.setattr(visiting, "_claims", dict)
    panel = open_panel(monkeypatch, team)
    assert [one.label for one in panel.button] == ["Sign in"]
    assert panel.title[0].value == "Sign in"
    assert not panel.error


def test_who_has_no_role_reads_why(monkeypatch: pytest.MonkeyPatch, team: FakeCore) -> None:
    team.accounts.mode = Mode.OIDC
    bring_claims(monkeypatch, email="eve@example.com", roles=["sales"])
    panel = open_panel(monkeypatch, team)
    assert "eve@example.com has no role here" in panel.error[0].value
    assert [one.label for one in panel.button] == ["Sign out"]
    assert team.accounts.logins == []


def test_who_was_removed_here_stays_out_though_the_provider_says_yes(
    monkeypatch: pytest.MonkeyPatch, team: FakeCore
) -> None:
    team.accounts.mode = Mode.OIDC
    team.accounts.marks["anna"] = 0
    bring_claims(monkeypatch, email="anna", roles=["admin"])
    panel = open_panel(monkeypatch, team)
    assert "anna was removed from this installation" in panel.error[0].value


def test_a_login_that_was_signed_out_is_over(
    monkeypatch: pytest.MonkeyPatch, team: FakeCore
) -> None:
    team.accounts.mode = Mode.OIDC
    bring_claims(monkeypatch, email="anna", roles=["viewer"])
    panel = open_panel(monkeypatch, team)
    next(one for one in panel.sidebar.button if one.label == "Sign out").click().run()
    assert [one.label for one in panel.run().button] == ["Sign in"]


def test_an_older_login_under_another_role_is_over(
    monkeypatch: pytest.MonkeyPatch, team: FakeCore
) -> None:
    team.accounts.mode = Mode.OIDC
    now = datetime.now(UTC).timestamp()
    bring_claims(monkeypatch, email="anna", roles=["operator"], iat=now - 10)
    open_panel(monkeypatch, team)
    seen = visiting._seen()
    bring_claims(monkeypatch, email="anna", roles=["approver"], iat=now - 1000)
    monkeypatch.setattr(visiting, "_seen", lambda: seen)
    panel = open_panel(monkeypatch, team)
    assert "Your role has changed since this login." in texts(panel)
    assert team.accounts.logins == [("anna", Role.OPERATOR)]


def test_streamlit_gets_the_provider_and_a_key_that_stays(tmp_path: Path) -> None:
    login = Login(
        metadata_url="https://login.example.com/.well-known/openid-configuration",
        client_id="pilothouse",
        client_secret="s3cret-of-the-client",
        panel_url="https://panel.example.com",
        rules=ClaimRules(),
    )
    told = secrets_of(login, tmp_path)
    auth = told["auth"]
    assert isinstance(auth, dict)
    assert auth["redirect_uri"] == "https://panel.example.com/oauth2callback"
    assert auth["client_secret"] == "s3cret-of-the-client"
    assert len(str(auth["cookie_secret"])) == 64
    assert secrets_of(login, tmp_path) == told
