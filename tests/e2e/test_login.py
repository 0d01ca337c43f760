"""The same two people, whom a real provider of OpenID Connect vouches for."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from core.access.people import HOST
from core.bootstrap import Pilothouse
from core.services.environment import Launch
from core.services.java import JavaRuntime
from core.services.layout import layout_of
from core.services.ports import InternalPorts
from core.services.programs import panel
from core.settings import CODE_ROOT, Settings
from tests.e2e import people
from tests.installation import Installation
from tests.ray_head import free_ports

START_TIMEOUT_S = 120.0
ANNA, BERT, EVE = "anna@example.com", "bert@example.com", "eve@example.com"
PEOPLE = (
    {"sub": "anna", "email": ANNA, "email_verified": True, "groups": ["ml-ops"]},
    {"sub": "bert", "email": BERT, "email_verified": True, "groups": ["ml-ops", "ml-leads"]},
    {"sub": "eve", "email": EVE, "email_verified": True, "groups": ["sales"]},
)


@contextmanager
def running(argv: list[str], healthy: str, **options: object) -> Iterator[None]:
    """A program that answers at ``healthy``; ended afterwards."""
    process = subprocess.Popen(argv, **options)  # type: ignore[call-overload]
    try:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not answers(healthy):
            assert process.poll() is None, f"{argv} has ended"
            assert time.monotonic() < deadline, f"{argv} does not answer"
            time.sleep(0.2)
        yield
    finally:
        process.terminate()
        process.wait(20)


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=30).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


@pytest.fixture
def provider() -> Iterator[str]:
    """Address of a provider that knows three people; it asks for no password."""
    (port,) = free_ports(1)
    argv = [sys.executable, "-W", "ignore", "-m", "oidc_provider_mock", "--port", str(port)]
    for one in PEOPLE:
        argv += ["--user-claims", json.dumps(one)]
    url = f"http://127.0.0.1:{port}"
    with running(argv, f"{url}/.well-known/openid-configuration"):
        yield url


@pytest.fixture
def login_panel(
    installation: Installation, core: Pilothouse, provider: str, tmp_path: Path
) -> Iterator[str]:
    """Address of another panel of the installation, on which people log in at the provider."""
    (port,) = free_ports(1)
    secret = tmp_path / "secret"
    secret.write_text("what the panel proves its name with\n", encoding="utf-8")
    settings = installation.settings.model_copy(
        update={
            "panel_port": port,
            "oidc_metadata_url": f"{provider}/.well-known/openid-configuration",
            "oidc_client_id": "pilothouse",
            "oidc_client_secret_file": str(secret),
            "oidc_role_claim": "groups",
            "oidc_roles": "ml-ops=operator,ml-leads=approver",
        }
    )
    environment = {**installation.environment, **settings.variables()}
    with running(
        list(argv_of(settings)),
        # A page, which the panel gives only once it is connected.
        settings.panel_url,
        env=environment,
        cwd=CODE_ROOT,
    ):
        yield settings.panel_url
    # Logins have made accounts; without them there is one local operator again.
    for name in (ANNA, BERT):
        if core.accounts.find(name):
            core.accounts.remove(name, actor=HOST)


def argv_of(settings: Settings) -> tuple[str, ...]:
    """The panel as the supervisor starts it."""
    java = JavaRuntime(Path("/nowhere"), 17, "system")
    return panel(Launch(settings, layout_of(settings.home), InternalPorts(1), java)).argv


@pytest.mark.long
@pytest.mark.timeout(600)
def test_the_starter_cannot_approve_and_another_can(
    browser: Browser,
    installation: Installation,
    core: Pilothouse,
    provider: str,
    login_panel: str,
) -> None:
    with people.window(browser, login_panel, friends=(provider,)) as page:
        log_in(page, "eve")
        said = page.get_by_text("eve@example.com has no role here: the claim 'groups' says 'sales'")
        expect(said).to_be_visible()
        expect(page.get_by_test_id("stSidebarNav")).to_have_count(0)

    with people.window(browser, login_panel, friends=(provider,)) as page:
        log_in(page, "anna")
        expect(page.get_by_text(f"You act as {ANNA}, role operator")).to_be_visible()
        # On the command line a person of the provider acts by a token, as everybody does.
        token = core.accounts.issue_token(ANNA, actor=HOST).token
        version = people.start_run(people.with_token(installation, token), core)
        people.read_why_not(page, ANNA, version)

    with people.window(browser, login_panel, friends=(provider,)) as page:
        log_in(page, "bert")
        people.approve(page, BERT, version)
        core.accounts.remove(BERT, actor=HOST)
        people.assert_out_soon(page, "Sign in", time.monotonic())
        expect(page.get_by_text(f"{BERT} was removed from this installation")).to_be_visible()
        page.get_by_role("button", name="Sign out").click()
        page.get_by_role("button", name="End session").click()
        expect(page.get_by_role("button", name="Sign in")).to_be_visible()


def log_in(page: Page, sub: str) -> None:
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name=sub, exact=True).click()
