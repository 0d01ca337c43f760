from __future__ import annotations

from datetime import UTC, date, datetime

import pandas as pd
import pytest

from app.views.audit import PAGE_ROWS, rows_frame
from core.errors import UnavailableError
from core.promotion.audit import Chosen
from core.promotion.audit_verify import Finding, Kind
from tests.unit.app_audit_fakes import make_rows
from tests.unit.app_fakes import AppTest, FakeCore, make_core, open_panel, texts


@pytest.fixture
def core() -> FakeCore:
    made = make_core()
    made.audit.rows = make_rows(25)
    return made


def _table(panel: AppTest) -> pd.DataFrame:
    return panel.dataframe[0].value


def _box(panel: AppTest, label: str):
    return next(one for one in panel.selectbox if one.label == label)


def test_an_empty_trail_says_what_comes_here(monkeypatch: pytest.MonkeyPatch) -> None:
    panel = open_panel(monkeypatch, make_core(), "audit")
    assert "Nothing has been done yet" in panel.info[0].value
    assert "The chain is whole: 0 rows" in panel.success[0].value
    assert not panel.exception


def test_rows_come_newest_first(monkeypatch: pytest.MonkeyPatch, core: FakeCore) -> None:
    panel = open_panel(monkeypatch, core, "audit")
    assert _table(panel)["Row"].tolist() == list(range(25, 0, -1))
    assert _table(panel)["Detail"].tolist()[0] == "profile 2c-2g"
    assert "The chain is whole: 25 rows, anchored up to row 25." in panel.success[0].value
    assert "UTC (just now)" in panel.success[0].value
    assert not panel.number_input
    assert not panel.exception


def test_filters_narrow_and_say_when_nothing_fits(
    monkeypatch: pytest.MonkeyPatch, core: FakeCore
) -> None:
    panel = open_panel(monkeypatch, core, "audit")
    _box(panel, "Actor").set_value("ben").run()
    assert _table(panel)["Row"].tolist() == [20, 10]
    _box(panel, "Outcome").set_value("done").run()
    assert "Nothing that was done fits this choice." in panel.info[0].value
    _box(panel, "Actor").set_value("").run()
    assert len(_table(panel)) == 23
    panel.date_input(key="from").set_value(date(2026, 11, 21)).run()
    assert "fits this choice" in panel.info[0].value
    assert core.audit.asked[-1] == Chosen(outcome="done", since=datetime(2026, 11, 21, tzinfo=UTC))
    panel.date_input(key="from").set_value(None).run()
    panel.date_input(key="to").set_value(date(2026, 11, 20)).run()
    assert len(_table(panel)) == 23
    assert core.audit.asked[-1].until == datetime(2026, 11, 21, tzinfo=UTC)
    assert not panel.exception


def test_the_address_names_the_days(monkeypatch: pytest.MonkeyPatch, core: FakeCore) -> None:
    open_panel(monkeypatch, core, "audit", **{"from": "2026-11-19", "to": "2026-11-20"})
    assert core.audit.asked[-1] == Chosen(
        since=datetime(2026, 11, 19, tzinfo=UTC), until=datetime(2026, 11, 21, tzinfo=UTC)
    )
    panel = open_panel(monkeypatch, core, "audit", **{"from": "yesterday"})
    assert panel.date_input(key="from").value is None
    assert core.audit.asked[-1] == Chosen()


def test_more_than_a_thousand_rows_are_paged(
    monkeypatch: pytest.MonkeyPatch, core: FakeCore
) -> None:
    core.audit.rows = make_rows(1005)
    panel = open_panel(monkeypatch, core, "audit")
    assert len(_table(panel)) == PAGE_ROWS
    assert panel.number_input[0].label == "Page, 1 to 11"
    panel.number_input[0].set_value(11).run()
    assert _table(panel)["Row"].tolist() == [5, 4, 3, 2, 1]
    assert "1,005 rows, newest first; 1,001 to 1,005 here" in texts(panel)
    assert not panel.exception


def test_a_broken_chain_is_told_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, core: FakeCore
) -> None:
    core.audit.findings = tuple(
        Finding(Kind.EDITED, place, f"Row {place} is not what was written.") for place in range(30)
    )
    panel = open_panel(monkeypatch, core, "audit")
    said = panel.error[0].value
    assert "Row 7 is not what was written." in said
    assert "and 10 more findings" in said
    assert "pilothouse audit anchor" in said
    assert len(_table(panel)) == 25
    assert not panel.exception


def test_the_trail_is_verified_anew_when_asked(
    monkeypatch: pytest.MonkeyPatch, core: FakeCore
) -> None:
    panel = open_panel(monkeypatch, core, "audit")
    _box(panel, "Actor").set_value("ben").run()
    assert core.audit.verified == 1
    next(one for one in panel.button if one.label == "Verify now").click().run()
    assert core.audit.verified == 2


def test_one_row_is_read_whole(monkeypatch: pytest.MonkeyPatch, core: FakeCore) -> None:
    panel = open_panel(monkeypatch, core, "audit", row="7")
    (shown,) = panel.json
    assert "more for machines" in shown.value
    assert core.audit.rows[6].hash in shown.value


def test_what_is_down_is_said(monkeypatch: pytest.MonkeyPatch, core: FakeCore) -> None:
    core.audit.failure = UnavailableError("The database does not answer.")
    panel = open_panel(monkeypatch, core, "audit")
    assert "The database does not answer" in panel.warning[0].value


def test_a_table_of_rows_holds_every_column() -> None:
    frame = rows_frame(make_rows(1))
    assert frame["Reason"].tolist() == ["=1+1"]
    assert frame["Object"].tolist() == ["run 1"]
