"""Several people before one panel, each in a window of their own."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Literal

from playwright.sync_api import Browser, ConsoleMessage, Page, Route, expect

from core.bootstrap import Pilothouse
from tests.e2e.pages import HEIGHT, PAGE_TIMEOUT_MS, PAGES, WIDTH, assert_calm, go_to
from tests.installation import Installation

OUT_WITHIN_S = 5.0
LIVE_TIMEOUT_MS = 120_000
BECAUSE = "The intervals overlap; it is as good and newer."
SMALL = ("--set", "search.families=[lr]", "--set", "search.trials=1")


def with_token(installation: Installation, token: str) -> Installation:
    """The same installation, as whoever has the token steers it from a terminal."""
    return replace(
        installation, environment={**installation.environment, "PILOTHOUSE_TOKEN": token}
    )


@contextmanager
def window(
    browser: Browser,
    url: str,
    *,
    path: str = "",
    friends: tuple[str, ...] = (),
    scheme: Literal["dark", "light"] = "light",
) -> Iterator[Page]:
    """Opens the panel at ``url`` where nobody has signed in; other places than the panel's and of
    ``friends`` are out of reach. Fails if a script breaks or a browser refuses something."""
    expect.set_options(timeout=PAGE_TIMEOUT_MS)
    context = browser.new_context(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme=scheme)
    page = context.new_page()
    troubles: list[str] = []

    def reach(route: Route) -> None:
        if route.request.url.startswith((url, *friends)):
            route.continue_()
        else:
            route.abort()

    def hear(message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text:
            troubles.append(message.text)

    context.route("**/*", reach)
    page.on("console", hear)
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.goto(url + path)
    yield page
    context.close()
    assert troubles == []


def start_run(installation: Installation, core: Pilothouse) -> int:
    """Trains a candidate for Titanic that opens a request; returns its version."""
    done = installation.command("run", "titanic", "--wait", *SMALL)
    assert done.returncode == 0, done.stdout + done.stderr
    (request,) = core.promotions.requests("titanic", open_only=True)
    return request.version


def read_why_not(page: Page, name: str, version: int) -> None:
    """Whoever started the run cannot approve, and reads why."""
    go_to(page, "Approvals")
    expect(page.get_by_role("heading", name=f"Titanic survival: v{version}")).to_be_visible()
    said = page.get_by_text(re.compile(rf"{re.escape(name)} started the run of this version"))
    expect(said.first).to_be_visible()
    expect(page.get_by_role("button", name=f"Approve v{version}")).to_be_disabled()
    assert_calm(page)


def approve(page: Page, name: str, version: int) -> None:
    """Somebody else approves, and the version answers."""
    go_to(page, "Approvals")
    page.get_by_role("textbox", name=re.compile(r"^Reason, at least")).fill(BECAUSE)
    passed_over = page.get_by_text(re.compile(r"^If I approve, I pass over"))
    if passed_over.count():
        passed_over.click()
    page.get_by_role("button", name=f"Approve v{version}").click()
    decided = page.get_by_text(re.compile(rf"^Approved by {re.escape(name)}"))
    expect(decided).to_be_visible(timeout=LIVE_TIMEOUT_MS)
    answers = page.get_by_text(re.compile(rf"^v{version} answers since"))
    expect(answers).to_be_visible(timeout=LIVE_TIMEOUT_MS)
    assert_calm(page)


def walk(page: Page) -> None:
    """Every page can be read."""
    for name in PAGES:
        go_to(page, name)
        # What is drawn after the heading has to be let in by the browser as well.
        page.wait_for_timeout(700)
        assert_calm(page)


def assert_out_soon(page: Page, sight: str, since: float) -> None:
    """What tells that nobody is known any more comes within seconds."""
    left_s = OUT_WITHIN_S - (time.monotonic() - since)
    expect(page.get_by_role("heading", name=sight, exact=True)).to_be_visible(
        timeout=max(left_s, 0.1) * 1000
    )
    expect(page.get_by_test_id("stSidebarNav")).to_have_count(0)
