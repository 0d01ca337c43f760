"""A real browser for the tests of the panel."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, expect, sync_playwright

from core.bootstrap import Pilothouse, connect
from tests.e2e.pages import HEIGHT, PAGE_TIMEOUT_MS, WIDTH
from tests.installation import Installation

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--screenshots",
        default=None,
        metavar="DIR",
        help="folder that keeps a picture of every page",
    )


@pytest.fixture(scope="session")
def screenshots(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder for pictures: the one of ``--screenshots``, otherwise a temporary one."""
    # The option exists only if pytest was started on this folder.
    chosen = request.config.getoption("screenshots", default=None)
    folder = Path(chosen) if chosen else tmp_path_factory.mktemp("screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The system's Chromium; Playwright brings only the means to drive it.

    Closed with its module: while it is open an event loop runs in the tests' own thread,
    and whatever comes later could start none.
    """
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        pytest.fail("no Chromium on this machine; `apt install chromium` brings one")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=list(_FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def core(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> Pilothouse:
    """The installation's core in this process, for what nobody needs to see typed."""
    monkeypatch.syspath_prepend(installation.environment["PYTHONPATH"].rpartition(os.pathsep)[2])
    return connect(installation.settings)


@pytest.fixture
def page(browser: Browser, installation: Installation) -> Iterator[Page]:
    """A window that fails its test over a broken script or policy, or a call of another host."""
    expect.set_options(timeout=PAGE_TIMEOUT_MS)
    context = browser.new_context(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
    page = context.new_page()
    broken: list[str] = []
    strangers: list[str] = []

    def note_stranger(request: Request) -> None:
        if not request.url.startswith((installation.settings.panel_url, "data:", "blob:")):
            strangers.append(request.url)

    def note_refusal(message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text:
            broken.append(message.text)

    page.on("pageerror", lambda error: broken.append(str(error)))
    page.on("request", note_stranger)
    page.on("console", note_refusal)
    page.goto(installation.settings.panel_url)
    yield page
    context.close()
    assert broken == []
    assert strangers == [], "the panel must talk to nobody but itself"
