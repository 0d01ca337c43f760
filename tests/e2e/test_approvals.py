"""A candidate, its evidence, a person's decision, the new version answering, and the way back."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.e2e.pages import assert_calm, capture, go_to
from tests.installation import Installation

LIVE_TIMEOUT_MS = 120_000
APPROVED_BECAUSE = "The intervals overlap; it is as good and newer."
BACK_BECAUSE = "Recall fell in third class; back until that is understood."
PASSENGER = {"Pclass": 1, "Sex": "female", "Age": 30, "SibSp": 0, "Parch": 0, "Fare": 80.0}


@pytest.mark.timeout(900)
def test_a_candidate_is_judged_approved_and_taken_back(
    page: Page, installation: Installation, screenshots: Path
) -> None:
    before = served(installation)
    request = waiting_request(installation)
    page.reload()
    go_to(page, "Approvals")
    weigh(page, request["version"])
    capture(page, screenshots / "approvals.png")
    approve(page, request["version"])
    assert served(installation) == request["version"]

    go_to(page, "Serving")
    roll_back(page, before)
    assert served(installation) == before

    record = installation.ask("promote", "history", "titanic")
    assert [(one["version"], one["rule"]) for one in record[:2]] == [
        (before, "rollback"),
        (request["version"], "approval"),
    ]
    for one in record[:2]:
        # No bound in seconds: on a busy machine that would be a test of the machine.
        assert one["since"] < one["live_at"]
        took_s = one["answering_after_s"]
        print(f"{one['rule']} of v{one['version']} answered after {took_s:.2f} s")  # noqa: T201
    go_to(page, "Audit")
    read_the_trail(page)
    capture(page, screenshots / "audit.png")
    assert installation.command("audit", "verify").returncode == 0


def served(installation: Installation) -> int:
    """The version that answers a request."""
    answer = httpx.post(
        f"{installation.settings.serving_url}/predict/titanic",
        json={"records": [PASSENGER]},
        timeout=30,
    )
    assert answer.status_code == 200, answer.text
    version: int = answer.json()["model_version"]
    return version


def waiting_request(installation: Installation) -> dict[str, Any]:
    """The open request of Titanic; a run is trained where nothing waits."""
    waiting = installation.ask("promote", "list", "--problem", "titanic", "--open")
    if not waiting:
        changes = ("--set", "search.families=[lr]", "--set", "search.trials=1")
        installation.ask("run", "titanic", "--wait", *changes)
        waiting = installation.ask("promote", "list", "--problem", "titanic", "--open")
    (request,) = waiting
    assert isinstance(request, dict)
    return request


def weigh(page: Page, version: int) -> None:
    """Verdict, gates and evidence are there before anything can be decided."""
    expect(page.get_by_role("heading", name=f"Titanic survival: v{version}")).to_be_visible()
    for heading in ("Gates", "Evidence", "Decide"):
        expect(page.get_by_role("heading", name=heading, exact=True)).to_be_visible()
    expect(page.get_by_text("Four eyes are not in force").first).to_be_visible()
    for gate in ("parity with Spark", "contract", "latency"):
        expect(page.get_by_text(gate).first).to_be_visible()
    assert_calm(page)


def approve(page: Page, version: int) -> None:
    reason = page.get_by_role("textbox", name=re.compile(r"^Reason, at least"))
    reason.fill("too short")
    button = page.get_by_role("button", name=f"Approve v{version}")
    button.click()
    expect(page.get_by_text(re.compile(r"The reason lacks 1 character"))).to_be_visible()
    reason.fill(APPROVED_BECAUSE)
    passed_over = page.get_by_text(re.compile(r"^If I approve, I pass over"))
    if passed_over.count():
        passed_over.click()
    button.click()
    expect(page.get_by_text(re.compile(r"^Approved by tester"))).to_be_visible(
        timeout=LIVE_TIMEOUT_MS
    )
    wait_until_live(page, version)


def roll_back(page: Page, version: int) -> None:
    page.get_by_text("Roll back", exact=True).click()
    reason = page.get_by_role("textbox", name=re.compile(r"^Reason, at least"))
    reason.fill(BACK_BECAUSE)
    page.get_by_role("button", name=re.compile(rf"^Roll back from v\d+ to v{version}$")).click()
    wait_until_live(page, version)


def wait_until_live(page: Page, version: int) -> None:
    answers = page.get_by_text(re.compile(rf"^v{version} answers since"))
    expect(answers).to_be_visible(timeout=LIVE_TIMEOUT_MS)
    assert_calm(page)


def read_the_trail(page: Page) -> None:
    expect(
        page.get_by_text(re.compile(r"(chain|trail) is whole", re.IGNORECASE)).first
    ).to_be_visible()
    assert_calm(page)
