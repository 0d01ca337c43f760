"""A canary answers a tenth of live requests, cannot be loaded any more, and is taken back."""

from __future__ import annotations

import hashlib
import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import Page, expect

from core.bootstrap import Pilothouse
from core.promotion.audit import Action
from core.rollout.values import RolloutStatus
from core.scoring.bundle import FACTS_FILE, MODEL_FILE, bundles_folder
from core.scoring.good_models import good_models_folder
from core.services.layout import layout_of
from core.services.processes import tagged_processes
from core.settings import Settings
from tests.e2e.pages import assert_calm, capture, choose, go_to
from tests.e2e.test_approvals import PASSENGER, served, waiting_request
from tests.installation import Installation
from tests.load import load

LIVE_TIMEOUT_MS = 120_000
#: A replica starts anew, cannot load the version for a while, and the worker takes it back.
BACK_TIMEOUT_MS = 240_000
APPROVED_BECAUSE = "As good on every slice; live traffic shall say the rest."
#: So slow that predictions are too few to be compared: every caller sends the same passenger.
RATE_PER_S = 5.0
STEPS = "In steps (10 %, 50 %, 100 %)"


@pytest.mark.timeout(900)
def test_a_canary_that_cannot_be_loaded_any_more_is_taken_back_by_itself(
    page: Page, installation: Installation, core: Pilothouse, screenshots: Path
) -> None:
    before = served(installation)
    request = waiting_request(installation)
    version = request["version"]
    body = {"records": [PASSENGER]}
    with load(installation.settings.serving_url, "/predict/titanic", body, RATE_PER_S) as callers:
        page.reload()
        go_to(page, "Approvals")
        approve_in_steps(page, version)
        page.get_by_role("link", name="Watch it on Serving").click()
        see_a_tenth(page, version, before)
        capture(page, screenshots / "rollout.png")
        canary = core.rollouts.active("titanic")
        assert canary is not None
        with unloadable(installation.settings, canary.bundle_sha256):
            kill_replicas(installation.settings)
            see_it_go_back(page, version, before)
        seen = callers.stop()
    print(seen)  # noqa: T201
    assert {one for one, *_ in seen.versions} == {before, version}
    assert served(installation) == before

    assert core.rollouts.get(canary.id).status is RolloutStatus.ROLLED_BACK
    done = [row.entry.action for row in core.audit.list(20)]
    assert done.index(Action.ROLLOUT_ENDED) < done.index(Action.ROLLOUT_STARTED)
    assert Action.ROLLOUT_ADVANCED not in done[: done.index(Action.ROLLOUT_STARTED)]
    see_alert_request_and_trail(page, installation.settings.panel_url, request["id"])
    assert installation.command("audit", "verify").returncode == 0


def approve_in_steps(page: Page, version: int) -> None:
    expect(page.get_by_role("heading", name=f"Titanic survival: v{version}")).to_be_visible()
    page.get_by_role("textbox", name=re.compile(r"^Reason, at least")).fill(APPROVED_BECAUSE)
    passed_over = page.get_by_text(re.compile(r"^If I approve, I pass over"))
    if passed_over.count():
        passed_over.click()
    page.get_by_text(STEPS, exact=True).click()
    page.get_by_role("button", name=f"Approve v{version}").click()
    standing = page.get_by_text(f"v{version} answers 10 % of the requests, step 1 of 3.")
    expect(standing).to_be_visible(timeout=LIVE_TIMEOUT_MS)
    assert_calm(page)


def see_a_tenth(page: Page, version: int, before: int) -> None:
    """Both versions have answered, the guards are there, and so is the way out."""
    headline = f"v{version} answers 10 % of the requests, v{before} the rest"
    expect(page.get_by_role("heading", name=headline)).to_be_visible()
    split = page.get_by_text(re.compile(rf"^Split: .* went to v{version}; the target is 10 %"))
    expect(split).to_be_visible(timeout=LIVE_TIMEOUT_MS)
    for guard in ("loads", "error rate", "p95 latency", "predictions", "estimated performance"):
        expect(page.get_by_role("cell", name=guard, exact=True)).to_be_visible()
    for button in (f"Hold v{version}", f"Abort, back to v{before}"):
        expect(page.get_by_role("button", name=button)).to_be_enabled()
    assert_calm(page)


@contextmanager
def unloadable(settings: Settings, sha256: str) -> Iterator[None]:
    """Damages every copy of a version on this machine, the registry's too; mends them again."""
    layout = layout_of(settings.home)
    folders = (layout.mlflow, good_models_folder(layout.home), bundles_folder(layout.home))
    copies = [
        page.with_name(MODEL_FILE)
        for folder in folders
        for page in folder.rglob(FACTS_FILE)
        if hashlib.sha256(page.read_bytes()).hexdigest() == sha256
    ]
    assert len(copies) > 1, "the registry has a copy, and so has the replica"
    good = {copy: copy.read_bytes() for copy in copies}
    for copy in copies:
        copy.write_bytes(b"no model")
    try:
        yield
    finally:
        for copy, content in good.items():
            # What a replica has fetched anew, or thrown away, is not put back.
            if copy.exists():
                copy.write_bytes(content)


def kill_replicas(settings: Settings) -> None:
    """Kills them at once; Ray Serve starts others, which have to load both versions anew."""
    killed = 0
    for process in tagged_processes(layout_of(settings.home)):
        try:
            is_replica = "ray::ServeReplica:" in " ".join(process.cmdline())
        except psutil.Error:
            continue
        if is_replica:
            os.kill(process.pid, signal.SIGKILL)
            killed += 1
    assert killed


def see_it_go_back(page: Page, version: int, before: int) -> None:
    back = page.get_by_text(re.compile(rf"^v{version} was rolled back at 10 %"))
    expect(back).to_be_visible(timeout=BACK_TIMEOUT_MS)
    expect(back).to_contain_text(f"v{version} cannot be loaded")
    expect(back).to_contain_text(f"v{before} answers every request.")
    expect(page.get_by_role("button", name=f"Hold v{version}")).to_have_count(0)
    assert_calm(page)


def see_alert_request_and_trail(page: Page, url: str, request_id: str) -> None:
    go_to(page, "Overview")
    expect(page.get_by_text("Titanic survival: rollout")).to_be_visible(timeout=LIVE_TIMEOUT_MS)
    page.goto(f"{url}/approvals?view=Decided&request={request_id}")
    expect(page.get_by_text(re.compile(r"^Taken back at 10 % by a guard"))).to_be_visible()
    go_to(page, "Audit")
    choose(page, "Action", Action.ROLLOUT_ENDED.value)
    expect(page.get_by_text(re.compile(r"^1 row, newest first"))).to_be_visible()
    assert_calm(page)
