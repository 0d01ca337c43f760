"""An operator's first hour, clicked through in a real browser on a real installation.

The pictures of the documentation come from here:

    .venv/bin/pytest tests/e2e --screenshots docs/images
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.e2e.pages import assert_calm, capture, choose, go_to

RUN_TIMEOUT_MS = 480_000
#: Streamlit draws tables on a canvas: height of a row and middle of the tick box, in pixels.
ROW_HEIGHT, TICK_BOX_X = 35, 18


@pytest.mark.timeout(900)
def test_operator_trains_compares_and_asks_the_model(page: Page, screenshots: Path) -> None:
    see_production(page)
    capture(page, screenshots / "overview.png")

    go_to(page, "Train")
    start_small_run(page)
    capture(page, screenshots / "train.png")
    page.reload()
    watch_it_finish(page)

    page.get_by_role("link", name="See its evaluation").click()
    compare_with_the_next_older(page)
    capture(page, screenshots / "experiments.png")

    go_to(page, "Serving")
    ask_the_model(page)
    capture(page, screenshots / "serving.png")


# Five runs on Spark take four minutes.
@pytest.mark.long
@pytest.mark.timeout(900)
def test_operator_measures_what_profiles_cost(page: Page, screenshots: Path) -> None:
    go_to(page, "Resources")
    start_small_sweep(page)
    page.reload()
    see_what_follows(page)
    capture(page, screenshots / "resources.png")
    page.get_by_role("link", name="Train with this profile").click()
    expect(page.get_by_role("heading", name="Train", exact=True)).to_be_visible()


def see_production(page: Page) -> None:
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    expect(page.get_by_text(re.compile(r"Production v\d+")).first).to_be_visible()
    expect(page.get_by_text("AUC on the holdout, 95% interval").first).to_be_visible()
    expect(page.get_by_text(re.compile(r"Healthy$")).first).to_be_visible()
    assert_calm(page)


def start_small_run(page: Page) -> None:
    for family in ("Random Forest", "Gradient-Boosted Trees"):
        page.get_by_role("button", name=family).click()
    budget = page.get_by_role("spinbutton", name="Search budget")
    budget.fill("3")
    budget.press("Enter")
    expect(page.get_by_text("6 fits at most")).to_be_visible()
    page.get_by_role("button", name="Start the run").click()
    expect(page.get_by_role("button", name="Cancel this run")).to_be_visible(timeout=60_000)
    expect(page.get_by_test_id("stProgress")).to_be_visible()
    # A moment later there is a stage to see and a log to read.
    expect(page.get_by_text(re.compile(r"✓ start Spark"))).to_be_visible(timeout=120_000)
    assert_calm(page)


def watch_it_finish(page: Page) -> None:
    outcome = page.get_by_text(re.compile(r"The run finished and registered version v\d+"))
    expect(outcome).to_be_visible(timeout=RUN_TIMEOUT_MS)
    expect(page.get_by_test_id("stProgress")).to_have_count(0)
    assert_calm(page)


def compare_with_the_next_older(page: Page) -> None:
    expect(page.get_by_role("heading", name="Experiments")).to_be_visible()
    expect(page.get_by_role("heading", name="Metrics on the holdout")).to_be_visible()
    expect(columns_of_metrics(page)).to_have_count(1)
    tick_row(page, 1)
    expect(columns_of_metrics(page)).to_have_count(2)
    for heading in (
        "Which one is better",
        "Slices of the holdout",
        "Curves",
        "Confusion matrices",
        "What the models look at",
    ):
        expect(page.get_by_role("heading", name=heading)).to_be_visible()
    # The sentence, with a number read off the same rows of both runs.
    expect(page.get_by_text(re.compile(r"Against the baseline: AUC [+−]\d"))).to_be_visible()
    # A metric over the versions, intervals, parallel axes, three overlays, and for both runs
    # a confusion matrix, weights, the course of the search, CPU and memory over time. What
    # mattered in so small a search cannot be told.
    expect(page.get_by_test_id("stVegaLiteChart")).to_have_count(16)
    assert_calm(page)


def start_small_sweep(page: Page) -> None:
    expect(page.get_by_text("Nobody has measured yet")).to_be_visible()
    # How many are chosen at first depends on the machine's cores; one is enough here.
    for profile in ("2c-2g", "4c-4g", "4c-6g"):
        pill = page.get_by_role("button", name=re.compile(rf"^{profile}"))
        if pill.get_attribute("aria-pressed") == "true":
            pill.click()
    page.get_by_role("button", name="Random Forest").click()
    repeats = page.get_by_role("spinbutton", name="Repeats")
    repeats.fill("1")
    repeats.press("Enter")
    command = "--profiles 1c-1g --families lr,gbt --repeat 1"
    expect(page.get_by_test_id("stCode")).to_contain_text(command)
    page.get_by_role("button", name="Start the sweep").click()
    expect(page.get_by_role("button", name="Cancel this sweep")).to_be_visible(timeout=60_000)
    expect(page.get_by_test_id("stProgress")).to_be_visible()
    assert_calm(page)


def see_what_follows(page: Page) -> None:
    verdict = page.get_by_role("heading", name=re.compile(r"^Use 1c-1g with "))
    expect(verdict).to_be_visible(timeout=RUN_TIMEOUT_MS)
    expect(page.get_by_test_id("stProgress")).to_have_count(0)
    for heading in (
        "Time and quality by profile",
        "Efficiency frontier",
        "CPU and memory over time",
        "Stages that took longest",
        "Diminishing returns of boosting",
    ):
        expect(page.get_by_role("heading", name=heading)).to_be_visible()
    expect(page.get_by_text(re.compile(r"core-seconds · utilization \d+%"))).to_be_visible()
    # Time, AUC, two frontiers, CPU, memory, and boosting by iterations and by time.
    expect(page.get_by_test_id("stVegaLiteChart")).to_have_count(8)
    assert_calm(page)


def ask_the_model(page: Page) -> None:
    expect(page.get_by_text("Ray Serve", exact=True)).to_be_visible()
    page.get_by_role("spinbutton", name="Age").fill("8")
    page.get_by_role("spinbutton", name="Age").press("Tab")
    choose(page, "Sex", "female")
    page.get_by_role("button", name="Predict").click()
    expect(page.get_by_text("Probability of “survived”")).to_be_visible()
    expect(page.get_by_text(re.compile(r"model version v\d+ · answered in \d"))).to_be_visible()
    assert_calm(page)


def columns_of_metrics(page: Page) -> Locator:
    return page.get_by_test_id("stTable").first.locator("thead th").filter(has_text="·")


def tick_row(page: Page, row: int) -> None:
    table = page.get_by_test_id("stDataFrame").first
    table.click(position={"x": TICK_BOX_X, "y": ROW_HEIGHT * (row + 1.5)})
