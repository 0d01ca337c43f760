"""Two people with accounts: whoever started a run cannot approve it, and who is removed is out."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from core.access.people import HOST
from core.access.roles import Role
from core.bootstrap import Pilothouse
from core.promotion.audit import Action, Chosen, Outcome
from tests.e2e import people
from tests.e2e.pages import go_to
from tests.installation import Installation


@pytest.fixture
def tokens(core: Pilothouse) -> Iterator[dict[str, str]]:
    """The tokens of an admin, an operator and an approver; nobody has an account afterwards."""
    roles = {"ada": Role.ADMIN, "anna": Role.OPERATOR, "bert": Role.APPROVER}
    try:
        yield {
            name: core.accounts.add(name, role, actor=HOST if name == "ada" else "ada").token
            for name, role in roles.items()
        }
    finally:
        # The only admin goes last.
        for name in sorted(roles, reverse=True):
            if core.accounts.find(name):
                core.accounts.remove(name, actor="ada")


@pytest.mark.timeout(600)
def test_the_starter_cannot_approve_and_another_can(
    browser: Browser,
    installation: Installation,
    core: Pilothouse,
    tokens: dict[str, str],
    screenshots: Path,
) -> None:
    url = installation.settings.panel_url
    anna = people.with_token(installation, tokens["anna"])
    version = people.start_run(anna, core)
    with people.window(browser, url) as page:
        page.screenshot(path=screenshots / "sign-in.png")
        sign_in_wrongly(page)
        sign_in(page, tokens["anna"])
        expect(page.get_by_text("You act as anna, role operator")).to_be_visible()
        people.read_why_not(page, "anna", version)
    with people.window(browser, url, scheme="dark") as page:
        sign_in(page, tokens["bert"])
        people.approve(page, "bert", version)
        people.walk(page)
        refused = anna.command("promote", "rollback", "titanic", "--reason", people.BECAUSE)
        assert refused.returncode != 0
        assert "anna is an operator" in refused.stdout + refused.stderr
        assert core.audit.list(None, Chosen(action=Action.ROLLED_BACK, outcome=Outcome.REFUSED))

        core.accounts.remove("bert", actor="ada")
        people.assert_out_soon(page, "Sign in", time.monotonic())
        page.goto(f"{url}/approvals")
        expect(page.get_by_label("Token")).to_be_visible()


@pytest.mark.timeout(300)
def test_whoever_signs_out_or_renews_the_token_elsewhere_is_out(
    browser: Browser, installation: Installation, core: Pilothouse, tokens: dict[str, str]
) -> None:
    url = installation.settings.panel_url
    with people.window(browser, url, path="/approvals?problem=titanic") as page:
        sign_in(page, tokens["anna"])
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
        core.accounts.issue_token("anna", actor="ada")
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
