from __future__ import annotations

import time
from dataclasses import replace
from io import BytesIO

import pytest
from streamlit.testing.v1 import AppTest

from app.components.uploads import uploads
from core.data.batch_comparison import compare_tables
from core.errors import DataContractError, InvalidInputError, Offence, UnavailableError
from core.problems.titanic import PROBLEM as TITANIC
from core.promotion.audit import Action
from tests.unit.app_audit_fakes import make_rows as make_audit_rows
from tests.unit.app_fakes import FakeCore, make_batch, make_core, make_rows, open_panel, texts

CONTENT = b"Pclass,Sex\n1,male\n"


@pytest.fixture
def core() -> FakeCore:
    """Two batches; files are checked at once."""
    made = make_core()
    made.batches.batches = [make_batch(2), make_batch(1)]
    made.batches.gate.set()
    return made


def _give(panel: AppTest, name: str = "monday.csv") -> AppTest:
    panel.file_uploader[0].set_value((name, CONTENT, "text/csv"))
    next(one for one in panel.button if one.label == "Check and add").click()
    return panel.run()


def _until(panel: AppTest, said: str) -> AppTest:
    """Looks again until the check in the background has come so far."""
    deadline = time.monotonic() + 10
    while said not in texts(panel) and time.monotonic() < deadline:
        time.sleep(0.02)
        panel.run()
    assert said in texts(panel)
    return panel


def test_nothing_yet_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    panel = open_panel(monkeypatch, make_core(), "data")
    assert "No new data of Titanic survival has arrived yet" in panel.info[0].value
    said = texts(panel)
    assert "pilothouse batch add titanic FILE" in said
    assert "Title (or Name)" in said
    assert "Never stored, even if given: PassengerId" in said
    assert not panel.exception


def test_a_file_that_cannot_be_listed_leaves_the_form(
    monkeypatch: pytest.MonkeyPatch, core: FakeCore
) -> None:
    core.batches.failure = UnavailableError("The database does not answer.")
    panel = open_panel(monkeypatch, core, "data")
    assert "The database does not answer." in panel.warning[0].value
    assert panel.file_uploader


def test_an_accepted_file_is_told_first_and_stored(
    monkeypatch: pytest.MonkeyPatch, core: FakeCore
) -> None:
    panel = _until(_give(open_panel(monkeypatch, core, "data")), "Accepted")
    assert core.batches.added == [("titanic", CONTENT, "monday.csv", "operator")]
    assert panel.success[0].value == "**Accepted**: monday.csv, 403 rows, 0 labels."
    said = texts(panel)
    assert "Dropped on the way in: PassengerId, Name." in said
    assert "- **Fare**: outside the usual range 0 to 520 in 2 rows (0.5%)" in said
    assert panel.dataframe[0].value["File"].tolist()[0] == "monday.csv"
    (link,) = [one.proto for one in panel.get("page_link") if "this batch" in one.proto.label]
    assert f"batch={core.batches.batches[0].id}" in link.query_string
    panel.button(key="put-away").click().run()
    assert not panel.success
    assert len(core.batches.batches) == 3


def test_the_same_file_again_is_told_as_such(
    monkeypatch: pytest.MonkeyPatch, core: FakeCore
) -> None:
    panel = open_panel(monkeypatch, core, "data")
    panel = _until(_give(panel, "passengers-1.csv"), "Already here")
    assert "nothing was stored again" in panel.info[0].value
    assert len(core.batches.batches) == 2


def test_a_refused_file_shows_every_offence(
    monkeypatch: pytest.MonkeyPatch, core: FakeCore
) -> None:
    core.batches.refusal = DataContractError(
        "2 values break the contract, the first Age in row 7: 200.0 is not at most 130.",
        fix="Correct the file and give it again; nothing was stored.",
        offences=[
            Offence("Age", "200.0 is not at most 130", 7),
            Offence("all columns", "2 values where the header has 3"),
        ],
    )
    panel = _until(_give(open_panel(monkeypatch, core, "data")), "Refused")
    assert "2 values break the contract" in panel.error[0].value
    table = panel.dataframe[0].value
    assert table["Column"].tolist() == ["Age", "all columns"]
    assert table["What is wrong"].tolist()[0] == "200.0 is not at most 130"
    assert table["Row"].tolist()[0] == 7
    assert len(core.batches.batches) == 2
    # The next one may be given at once.
    assert panel.file_uploader


def test_a_file_that_is_no_table_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, core: FakeCore
) -> None:
    core.batches.refusal = InvalidInputError("The file monday.csv is empty.", fix="Save it.")
    panel = _until(_give(open_panel(monkeypatch, core, "data")), "is empty")
    assert len(panel.dataframe) == 1


def test_what_nobody_foresaw_is_told_without_a_trace(
    monkeypatch: pytest.MonkeyPatch, core: FakeCore
) -> None:
    core.batches.refusal = ZeroDivisionError("secret")
    panel = _until(_give(open_panel(monkeypatch, core, "data")), "nobody foresaw")
    assert "secret" not in texts(panel)


def test_a_check_goes_on_when_the_page_is_left_and_opened_again(
    monkeypatch: pytest.MonkeyPatch, core: FakeCore
) -> None:
    core.batches.gate.clear()
    panel = _give(open_panel(monkeypatch, core, "data"))
    assert [one.label for one in panel.file_uploader] == ["File of labels"]
    panel.switch_page("views/train.py").run()
    panel.switch_page("views/data.py").run()
    for _ in range(100):
        if panel.get("progress")[0].proto.text.startswith("42%"):
            break
        time.sleep(0.02)
        panel.run()
    assert panel.get("progress")[0].proto.text == "42% · checking monday.csv"
    core.batches.gate.set()
    _until(panel, "Accepted")


def test_a_file_that_is_given_while_another_is_checked_is_said_to_be_lost(
    monkeypatch: pytest.MonkeyPatch, core: FakeCore
) -> None:
    core.batches.gate.clear()
    panel = open_panel(monkeypatch, core, "data")
    uploads().start(core, "titanic", "theirs.csv", BytesIO(CONTENT), actor="bob")
    _give(panel)
    assert "Your file was not taken" in panel.warning[0].value
    core.batches.gate.set()
    _until(panel, "Accepted")
    assert "theirs.csv" in panel.success[0].value
    assert "Your file was not taken" in panel.warning[0].value
    _until(_give(panel), "**Accepted**: monday.csv")
    assert not panel.warning


def test_a_second_click_says_nothing_of_a_file(
    monkeypatch: pytest.MonkeyPatch, core: FakeCore
) -> None:
    core.batches.gate.clear()
    panel = open_panel(monkeypatch, core, "data")
    uploads().start(core, "titanic", "monday.csv", BytesIO(CONTENT), actor="operator")
    next(one for one in panel.button if one.label == "Check and add").click().run()
    assert panel.get("progress")
    assert not panel.warning
    core.batches.gate.set()


def test_without_a_file_it_says_so(monkeypatch: pytest.MonkeyPatch, core: FakeCore) -> None:
    panel = open_panel(monkeypatch, core, "data")
    next(one for one in panel.button if one.label == "Check and add").click()
    assert "Choose a file first." in texts(panel.run())


def test_a_batch_in_the_address_is_shown(monkeypatch: pytest.MonkeyPatch, core: FakeCore) -> None:
    one = core.batches.batches[1]
    panel = open_panel(monkeypatch, core, "data", batch=one.id)
    said = texts(panel)
    assert "passengers-1.csv" in said
    assert f"data version `{one.data_version}`" in said
    assert "Rows: 401" in said
    assert not panel.get("vega_lite_chart")


def test_two_batches_are_compared_with_charts(
    monkeypatch: pytest.MonkeyPatch, core: FakeCore
) -> None:
    newer, older = core.batches.batches
    panel = open_panel(monkeypatch, core, "data", batch=newer.id)
    key = f"other-{newer.id}"
    assert panel.selectbox(key=key).value is None
    panel.selectbox(key=key).set_value(older.id).run()
    assert panel.query_params["other"] == older.id
    # Nine fields and the label.
    assert len(panel.get("vega_lite_chart")) == 10
    assert f"pilothouse batch compare {newer.id} {older.id}" in texts(panel)
    columns = panel.dataframe[3].value
    assert columns["Difference"].is_monotonic_decreasing
    assert not panel.exception


def test_a_column_that_one_side_lacks_is_named(
    monkeypatch: pytest.MonkeyPatch, core: FakeCore
) -> None:
    newer, older = core.batches.batches
    lacking = compare_tables(make_rows(0).drop_columns(["Fare"]), make_rows(2), TITANIC.contract)
    monkeypatch.setattr(core.batches, "compare", lambda *_: lacking)
    panel = open_panel(monkeypatch, core, "data", batch=newer.id, other=older.id)
    assert "Fare: number in" in panel.warning[0].value
    assert "missing in" in panel.warning[0].value
    assert len(panel.get("vega_lite_chart")) == 9
    assert not panel.exception


def test_without_a_reference_it_says_so(monkeypatch: pytest.MonkeyPatch, core: FakeCore) -> None:
    one = core.batches.batches[0]
    panel = open_panel(monkeypatch, core, "data", batch=one.id, other="reference")
    assert "There is no reference" in texts(panel)
    assert "Rows: 402" in texts(panel)


def test_a_thousand_batches_are_a_table(monkeypatch: pytest.MonkeyPatch, core: FakeCore) -> None:
    core.batches.batches = [make_batch(number) for number in range(1_200, 0, -1)]
    panel = open_panel(monkeypatch, core, "data", batch=make_batch(900).id)
    assert len(panel.dataframe[0].value) == 1_000
    assert "The newest 1,000." in texts(panel)
    assert "passengers-900.csv" in texts(panel)


def test_what_became_of_labels_by_http_is_said(
    monkeypatch: pytest.MonkeyPatch, core: FakeCore
) -> None:
    said = "5 labels came by HTTP: 4 labels joined, 1 of rows that nobody knows."
    (row,) = make_audit_rows(1)
    told = {"actor": "worker", "action": Action.LABELS_ADDED, "detail": said}
    core.audit.rows = (replace(row, entry=replace(row.entry, **told)),)
    panel = open_panel(monkeypatch, core, "data")
    assert "Last look at labels by HTTP, 2026-11-20 09:00 UTC" in texts(panel)
    assert said in texts(panel)
