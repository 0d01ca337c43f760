"""What every walk through the panel needs."""

from __future__ import annotations

import time
from pathlib import Path

from playwright.sync_api import Page, expect
from playwright.sync_api import TimeoutError as PlaywrightTimeoutError

PAGE_TIMEOUT_MS = 30_000
WIDTH, HEIGHT = 1280, 900
PAGES = (
    "Overview",
    "Data",
    "Train",
    "Experiments",
    "Resources",
    "Drift",
    "Approvals",
    "Serving",
    "Trace",
    "Audit",
)


def go_to(page: Page, name: str) -> None:
    page.get_by_test_id("stSidebarNav").get_by_role("link", name=name).click()
    expect(page.get_by_role("heading", name=name, exact=True)).to_be_visible()


def choose(page: Page, label: str, value: str) -> None:
    """Takes ``value`` in a list. A page that is drawn again meanwhile closes the list."""
    deadline = time.monotonic() + PAGE_TIMEOUT_MS / 1000
    while True:
        # Typing opens the list for certain; a click closes it again if focus had opened it.
        page.get_by_role("combobox", name=label).fill(value)
        try:
            page.get_by_role("option", name=value, exact=True).click(timeout=3_000)
        except PlaywrightTimeoutError:
            if time.monotonic() > deadline:
                raise
        else:
            return


def assert_calm(page: Page) -> None:
    assert "Traceback" not in page.locator("body").inner_text()
    expect(page.get_by_test_id("stException")).to_have_count(0)
    expect(page.get_by_text("Something went wrong")).to_have_count(0)


def capture(page: Page, path: Path) -> None:
    """Takes a picture of the whole page; Streamlit scrolls inside the window."""
    height = page.get_by_test_id("stMain").evaluate("element => element.scrollHeight")
    page.set_viewport_size({"width": WIDTH, "height": max(HEIGHT, int(height))})
    # Charts and tables draw themselves anew for the new size.
    page.wait_for_timeout(1_500)
    page.screenshot(path=path)
    page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
