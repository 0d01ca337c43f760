"""Two people with accounts: whoever started a run cannot approve it, and who is removed is out."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e import people
from tests.e2e.pages import go_to
from tests.installation import Installation


class Team(NamedTuple):
    """An installation as each of three people steers it; a name is that of the account."""

    ada: Installation
    anna: Installation
    bert: Installation
    tokens: dict[str, str]


@pytest.fixture
def team(installation: Installation) -> Iterator[Team]:
    """An admin, an operator and an approver; afterwards nobody has an account any more."""
    tokens = {"ada": new_token(installation, "ada", "admin")}
    ada = people.with_token(installation, tokens["ada"])
    try:
        tokens["anna"] = new_token(ada, "anna", "operator")
        tokens["bert"] = new_token(ada, "bert", "approver")
        anna, bert = (people.with_token(installation, tokens[one]) for one in ("anna", "bert"))
        yield Team(ada, anna, bert, tokens)
    finally:
        for name in ("anna", "bert", "ada"):
            ada.command("users", "remove", name)


def new_token(installation: Installation, name: str, role: str) -> str:
    token: str = installation.ask("users", "add", name, "--role", role)["token"]
    return token


@pytest.mark.timeout(600)
def test_the_starter_cannot_approve_and_another_can(
    browser: Browser, installation: Installation, team: Team, screenshots: Path
) -> None:
    url = installation.settings.panel_url
    version = people.start_run(team.anna)["version"]
    with people.window(browser, url) as page:
        page.screenshot(path=screenshots / "sign-in.png")
        sign_in_wrongly(page)
        sign_in(page, team.tokens["anna"])
        expect(page.get_by_text("You act as anna, role operator")).to_be_visible()
        people.read_why_not(page, "anna", version)
    with people.window(browser, url, scheme="dark") as page:
        sign_in(page, team.tokens["bert"])
        people.approve(page, "bert", version)
        people.walk(page)
        assert refusals(team.ada) == []
        refused = team.anna.command("promote", "rollback", "titanic", "--reason", people.BECAUSE)
        assert refused.returncode != 0
        assert "anna is an operator and may not do this" in refused.stdout + refused.stderr
        assert [row["actor"] for row in refusals(team.ada)] == ["anna"]

        assert team.ada.command("users", "remove", "bert").returncode == 0
        people.assert_out_soon(page, "Sign in", time.monotonic())
        page.goto(f"{url}/approvals")
        expect(page.get_by_label("Token")).to_be_visible()
        assert team.bert.command("users", "whoami").returncode != 0


@pytest.mark.timeout(300)
def test_whoever_signs_out_or_renews_the_token_elsewhere_is_out(
    browser: Browser, installation: Installation, team: Team
) -> None:
    url = installation.settings.panel_url
    with people.window(browser, f"{url}/approvals?problem=titanic") as page:
        sign_in(page, team.tokens["anna"])
        expect(page.get_by_role("heading", name="Approvals", exact=True)).to_be_visible()
        token = renew(page)
        with people.window(browser, url) as elsewhere:
            sign_in(elsewhere, token)
            expect(elsewhere.get_by_text("a token that only you know")).to_be_visible()
            elsewhere.get_by_role("button", name="Sign out").click()
            expect(elsewhere.get_by_label("Token")).to_be_visible()
        # Still here, with the token that has replaced the one signed in with.
        page.keyboard.press("Escape")
        go_to(page, "Overview")
        assert team.ada.command("users", "token", "anna").returncode == 0
        people.assert_out_soon(page, "Sign in", time.monotonic())


def test_afterwards_there_is_one_local_operator_again(page: Page) -> None:
    expect(page.get_by_text("one local operator, loopback only")).to_be_visible()


def sign_in_wrongly(page: Page) -> None:
    page.get_by_label("Token").fill("phu_no-such-token")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_have_text("This token is not valid, or not any more.")


def sign_in(page: Page, token: str) -> None:
    page.get_by_label("Token").fill(token)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_test_id("stSidebarNav")).to_be_visible()


def renew(page: Page) -> str:
    page.get_by_role("button", name="Renew my token").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Renew", exact=True).click()
    shown = dialog.get_by_test_id("stCode")
    expect(shown).to_contain_text("phu_")
    return shown.inner_text().strip()


def refusals(ada: Installation) -> list[dict[str, str]]:
    rows = ada.ask("audit", "list", "--outcome", "refused")
    return [row for row in rows if row["action"] == "rolled back"]
