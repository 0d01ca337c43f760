"""New data drifts, the operator sees it, labels come late, and a retrain waits for approval."""

from __future__ import annotations

import re
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pytest
from playwright.sync_api import Page, expect

from core.adapters.nannyml import load_later
from tests.e2e.pages import assert_calm, capture, go_to
from tests.installation import Installation

CHECK_TIMEOUT_MS = 90_000
RETRAIN_TIMEOUT_MS = 480_000
LABEL = "Survived"


@pytest.mark.timeout(900)
def test_drift_is_seen_and_a_retrain_waits_for_approval(
    page: Page, installation: Installation, tmp_path: Path, screenshots: Path
) -> None:
    later = load_later("titanic")
    waiting = installation.ask("promote", "list", "--problem", "titanic", "--open")
    go_to(page, "Data")
    began = time.monotonic()
    upload(page, drifted(later, tmp_path / "monday.csv"))
    capture(page, screenshots / "data.png")

    go_to(page, "Drift")
    read_the_verdict(page)
    took_s = time.monotonic() - began
    print(f"from choosing the file to the verdict on the page: {took_s:.1f} s")  # noqa: T201
    (batch,) = installation.ask("batch", "list", "titanic")
    say_how_long_a_verdict_took(installation, batch)
    acknowledge_the_alert(page)

    go_to(page, "Data")
    send_labels(page, labels_of(later, batch["id"], tmp_path / "labels.csv"))

    go_to(page, "Overview")
    see_the_candidate_wait(page, [one["version"] for one in waiting])
    go_to(page, "Drift")
    realized = page.get_by_text(re.compile(r"^Realized AUC"))
    expect(realized).to_be_visible(timeout=CHECK_TIMEOUT_MS)
    capture(page, screenshots / "drift.png")
    assert installation.command("drift", "titanic", "--batch", batch["id"]).returncode == 42


def say_how_long_a_verdict_took(installation: Installation, batch: dict[str, Any]) -> None:
    """Prints it from the records: no bound in seconds, which a busy machine would break."""
    checks = installation.ask("checks", "list", "titanic")
    (check,) = [one for one in checks if one["batch_id"] == batch["id"]]
    added, ended = (datetime.fromisoformat(one) for one in (batch["added_at"], check["ended_at"]))
    assert added < ended
    took_s = (ended - added).total_seconds()
    print(f"from the accepted batch to its verdict: {took_s:.1f} s")  # noqa: T201


def drifted(later: pa.Table, file: Path) -> Path:
    """All prices trebled; no label, which nobody knows on Monday."""
    place = later.column_names.index("Fare")
    fares = pc.multiply(later.column("Fare").cast(pa.float64()), 3.0)
    pa_csv.write_csv(later.set_column(place, "Fare", fares).drop_columns([LABEL]), file)
    return file


def labels_of(later: pa.Table, batch_id: str, file: Path) -> Path:
    rows = later.num_rows
    columns = {"batch_id": [batch_id] * rows, "row_id": list(range(rows))}
    pa_csv.write_csv(pa.table({**columns, LABEL: later.column(LABEL)}), file)
    return file


def upload(page: Page, file: Path) -> None:
    give_file(page, 0, file)
    page.get_by_role("button", name="Check and add").click()
    expect(page.get_by_text(re.compile(r"418 rows")).first).to_be_visible()
    expect(page.get_by_text("Dropped on the way in").first).to_contain_text("Ticket")
    assert_calm(page)


def give_file(page: Page, uploader: int, file: Path) -> None:
    """Gives a file to one of the page's uploaders and waits until the server has it."""
    place = page.get_by_test_id("stFileUploader").nth(uploader)
    place.get_by_test_id("stFileUploaderDropzoneInput").set_input_files(file)
    # Streamlit cuts a long name to the room there is, so it may be there and not be seen.
    expect(place.get_by_test_id("stFileChipName")).to_have_text(file.name)
    expect(place.get_by_test_id("stSpinner")).to_have_count(0)


def read_the_verdict(page: Page) -> None:
    heading = page.get_by_role("heading", name=re.compile(r"^v\d+ on batch "))
    expect(heading).to_be_visible(timeout=CHECK_TIMEOUT_MS)
    expect(page.get_by_text(re.compile(r"^Fare drifted: PSI")).first).to_be_visible()
    for name in ("What drifted", "Does the model still work", "Data quality"):
        expect(page.get_by_role("heading", name=name)).to_be_visible()
    assert_calm(page)


def acknowledge_the_alert(page: Page) -> None:
    expect(page.get_by_text("Titanic survival: drift")).to_be_visible(timeout=CHECK_TIMEOUT_MS)
    page.get_by_role("button", name="I have seen it").first.click()
    note = page.get_by_role("textbox", name="Note")
    note.fill("Prices have trebled; labels are on the way.")
    note.press("Enter")
    page.get_by_role("button", name="Acknowledge").click()
    expect(page.get_by_text("labels are on the way").first).to_be_visible()
    assert_calm(page)


def send_labels(page: Page, file: Path) -> None:
    page.get_by_text("Add late labels").click()
    give_file(page, 1, file)
    page.get_by_role("button", name="Add the labels").click()
    expect(page.get_by_text("418 labels joined")).to_be_visible()
    assert_calm(page)


def see_the_candidate_wait(page: Page, others: list[int]) -> None:
    """The policy starts a run by itself, and its version opens a request.

    ``others`` are versions that have waited before; the new one takes their place.
    """
    not_others = "".join(rf"(?!{version} )" for version in others)
    waits = page.get_by_text(re.compile(rf"titanic v{not_others}\d+ waits for a person"))
    expect(waits).to_be_visible(timeout=RETRAIN_TIMEOUT_MS)
    told = page.get_by_text(re.compile(r"asked for approval")).first
    expect(told).to_be_visible(timeout=CHECK_TIMEOUT_MS)
    assert_calm(page)
