from __future__ import annotations

from dataclasses import replace

import pytest
from streamlit.testing.v1 import AppTest

from app.components.lineage_view import records_frame
from core.deployment.lineage import LoggedRow, Missing, TrainingCode
from core.errors import NotFoundError
from tests.unit.app_fakes import FakeCore, make_core, open_panel, texts
from tests.unit.app_trace_values import REQUEST_ID, RUN_ID, make_lineage, make_replay


@pytest.fixture
def core() -> FakeCore:
    return make_core()


def opened(monkeypatch: pytest.MonkeyPatch, core: FakeCore, **query: str) -> AppTest:
    panel = open_panel(monkeypatch, core, "trace", request=REQUEST_ID, **query)
    assert not panel.exception
    return panel


def test_without_an_id_the_page_says_what_it_is_for(
    monkeypatch: pytest.MonkeyPatch, core: FakeCore
) -> None:
    panel = open_panel(monkeypatch, core, "trace")
    assert "Every answer of a model carries a `request_id`" in panel.info[0].value
    assert core.tracing.asked == []


def test_the_whole_chain_is_shown(monkeypatch: pytest.MonkeyPatch, core: FakeCore) -> None:
    panel = opened(monkeypatch, core)
    assert core.tracing.asked == [(REQUEST_ID, 0, False)]
    said = texts(panel)
    facts = [
        "titanic v4 answered 2 records, 2026-11-20 12:30:15 UTC.",
        "State now: production.",
        f"{RUN_ID}, started by retraining policy",
        "model.maxDepth = 5, model.maxIter = 30",
        "md5:1f3870be274f6c49b3e31a0c6728957f",
        "334 rows of it: monday.csv",
        "Git commit 4aa623a2",
        "decided by ann",
        "Approved by ann",
        f"SHA-256 {'9f' * 32}",
        f"pilothouse trace {REQUEST_ID} --replay",
    ]
    for fact in facts:
        assert fact in said, fact
    assert "link_off" not in said


def test_an_id_that_is_typed_is_traced(monkeypatch: pytest.MonkeyPatch, core: FakeCore) -> None:
    panel = open_panel(monkeypatch, core, "trace")
    panel.text_input(key="request").set_value(REQUEST_ID).run()
    assert core.tracing.asked == [(REQUEST_ID, 0, False)]


def test_missing_links_are_said_in_words(monkeypatch: pytest.MonkeyPatch, core: FakeCore) -> None:
    gone = Missing("MLflow has no version 4 of titanic [gone].")
    core.tracing.lineage = replace(
        make_lineage(), version=gone, run=gone, code=TrainingCode(gone, Missing("No digest."))
    )
    said = texts(opened(monkeypatch, core))
    assert said.count(r":orange[:material/link\_off:".replace("\\", "")) == 4
    assert r"MLflow has no version 4 of titanic \[gone\]." in said
    assert "No digest." in said


@pytest.mark.parametrize("same", [True, False])
def test_a_replay_is_asked_for_and_judged(
    monkeypatch: pytest.MonkeyPatch, core: FakeCore, same: bool
) -> None:
    core.tracing.replay = 0.0 if same else 0.01
    panel = opened(monkeypatch, core)
    panel.toggle(key="replay").set_value(True).run()
    assert core.tracing.asked[-1] == (REQUEST_ID, 0, True)
    shown = panel.success if same else panel.error
    assert len(shown) == 1
    assert shown[0].value.startswith("The same" if same else "Not the same")
    frame = panel.dataframe[0].value
    assert list(frame["Replayed"] - frame["Probability"]) == pytest.approx(
        [0.0 if same else 0.01] * 2
    )


def test_what_cannot_be_replayed_says_why(monkeypatch: pytest.MonkeyPatch, core: FakeCore) -> None:
    core.tracing.replay = Missing("MLflow has no version 4 of titanic.")
    panel = opened(monkeypatch, core, replay="true")
    assert "MLflow has no version 4" in panel.warning[0].value
    assert "Replayed" not in panel.dataframe[0].value.columns


def test_an_answer_that_is_not_logged_says_why(
    monkeypatch: pytest.MonkeyPatch, core: FakeCore
) -> None:
    core.tracing.failure = NotFoundError("The log has no such request.", fix="It is too old.")
    panel = opened(monkeypatch, core)
    assert "It is too old." in panel.error[0].value


def test_many_records_come_in_pages(monkeypatch: pytest.MonkeyPatch, core: FakeCore) -> None:
    core.tracing.lineage = make_lineage(250)
    panel = opened(monkeypatch, core)
    (pages,) = (box for box in panel.selectbox if box.key.startswith("records-"))
    assert pages.options == ["0 to 99", "100 to 199", "200 to 249"]
    assert pages.label == "Records, 250 in all"
    pages.select_index(2).run()
    assert core.tracing.asked[-1] == (REQUEST_ID, 200, False)
    assert list(panel.dataframe[0].value["Record"]) == list(range(200, 250))


def test_an_input_may_be_called_as_a_column_of_ours() -> None:
    lineage = make_lineage()
    rows = tuple(
        LoggedRow(row.index, {"Probability": 7.0}, row.probability) for row in lineage.answer.rows
    )
    lineage = replace(lineage, answer=replace(lineage.answer, rows=rows))
    lineage = replace(lineage, replay=make_replay(lineage.answer))
    frame = records_frame(lineage)
    assert list(frame["Probability"]) == [0.25, 0.375]
    assert list(frame["Probability (input)"]) == [7.0, 7.0]


def test_the_last_answer_leads_here(monkeypatch: pytest.MonkeyPatch) -> None:
    core = make_core()
    panel = open_panel(monkeypatch, core, "serving")
    panel.button[0].click().run()
    links = [link.proto for link in panel.get("page_link")]
    (trace,) = (link for link in links if link.label == "Trace this answer")
    assert "request=b7e1-42" in str(trace)
