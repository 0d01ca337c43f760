from __future__ import annotations

from dataclasses import replace

import pytest

from app import charts
from app.watching.tables import features_frame, quality_frame, reasons_frame
from core.domain import RunStatus
from core.domain_watching import AlertStatus, Check, Level
from core.errors import ConflictError, UnavailableError
from tests.unit.app_fakes import FakeCore, make_batch, make_core, open_panel, texts
from tests.unit.app_watching_values import (
    SUMMARY,
    make_alert,
    make_check,
    make_drift_report,
)


@pytest.fixture
def core() -> FakeCore:
    """Two finished checks, one open alert, two batches."""
    made = make_core(production=3)
    made.monitoring.checks = [make_check(2), make_check(1, level=Level.OK)]
    made.alerts.alerts = [make_alert(2)]
    made.batches.batches = [make_batch(2), make_batch(1)]
    return made


def test_without_production_there_is_nothing_to_check_against(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    panel = open_panel(monkeypatch, make_core(), "drift")
    assert "No version is in Production yet" in panel.info[0].value
    assert not panel.exception


def test_without_batches_it_says_where_they_come_from(monkeypatch: pytest.MonkeyPatch) -> None:
    panel = open_panel(monkeypatch, make_core(production=3), "drift")
    assert "No batch has arrived yet" in texts(panel)
    assert [button.disabled for button in panel.button] == [True, False]


def test_the_verdict_comes_first_and_then_open_alerts(
    monkeypatch: pytest.MonkeyPatch, core: FakeCore
) -> None:
    panel = open_panel(monkeypatch, core, "drift")
    said = [one.value for one in panel.markdown]
    verdict = next(place for place, text in enumerate(said) if text.startswith("### v3 on batch"))
    alert = next(place for place, text in enumerate(said) if "Titanic survival: drift" in text)
    assert verdict < alert
    assert panel.error[0].value == SUMMARY
    assert [(one.label, one.value) for one in panel.metric] == [
        ("Largest PSI: Fare", "0.31"),
        ("PSI of the prediction", "0.12"),
        ("Estimated AUC", "0.830"),
        ("Realized AUC", "0.810"),
    ]
    # A feature then and now and over chunks, performance, all features together.
    assert len(panel.get("vega_lite_chart")) == 4
    assert "The estimate may be off by 0.04" in panel.warning[0].value
    assert not panel.exception


def test_an_earlier_check_can_be_looked_at(monkeypatch: pytest.MonkeyPatch, core: FakeCore) -> None:
    core.monitoring.levels[make_check(1).id] = Level.OK
    panel = open_panel(monkeypatch, core, "drift", check=make_check(1).id)
    assert panel.success[0].value == SUMMARY
    assert f"--batch {make_batch(1).id}" in panel.code[0].value


def test_a_check_that_is_older_than_the_list_can_be_looked_at(
    monkeypatch: pytest.MonkeyPatch, core: FakeCore
) -> None:
    oldest = replace(make_check(1, level=Level.OK), id="0" * 32)
    core.monitoring.checks = [make_check(number) for number in range(110, 10, -1)] + [oldest]
    core.monitoring.levels[oldest.id] = Level.OK
    panel = open_panel(monkeypatch, core, "drift", check=oldest.id)
    assert panel.success[0].value == SUMMARY
    core.monitoring.checks[-1] = replace(oldest, problem="another")
    assert panel.run().error[0].value == SUMMARY
    panel = open_panel(monkeypatch, core, "drift", check="gone")
    assert "There is no such check." in panel.error[0].value


def test_a_batch_is_checked_at_a_click(monkeypatch: pytest.MonkeyPatch, core: FakeCore) -> None:
    panel = open_panel(monkeypatch, core, "drift")
    next(one for one in panel.button if one.label == "Check this batch").click().run()
    assert core.monitoring.started == [(make_batch(2).id, None)]
    assert not panel.exception


@pytest.mark.parametrize("number", [2, 1])
def test_the_chosen_batch_is_checked_though_a_newer_one_arrives(
    monkeypatch: pytest.MonkeyPatch, core: FakeCore, number: int
) -> None:
    panel = open_panel(monkeypatch, core, "drift")
    batch = next(one for one in panel.selectbox if one.label == "Batch")
    if number != 2:
        # The newest is in the box by itself.
        batch.set_value(make_batch(number).id)
    core.batches.batches.insert(0, make_batch(3))
    next(one for one in panel.button if one.label == "Check this batch").click().run()
    assert core.monitoring.started == [(make_batch(number).id, None)]


def test_an_active_check_is_followed_and_no_second_one_offered(
    monkeypatch: pytest.MonkeyPatch, core: FakeCore
) -> None:
    core.monitoring.checks.insert(0, make_check(3, RunStatus.RUNNING))
    panel = open_panel(monkeypatch, core, "drift")
    assert "Checking batch" in texts(panel)
    offered = [one for one in panel.button if one.label.startswith("Check ")]
    assert offered
    assert all(one.disabled for one in offered)


def test_the_window_is_chosen_in_hours_or_rows(
    monkeypatch: pytest.MonkeyPatch, core: FakeCore
) -> None:
    panel = open_panel(monkeypatch, core, "drift")
    assert panel.number_input(key="window-hours").value == 24
    assert panel.number_input(key="window-hours").max == 87_600
    assert panel.button(key="check-window").label == "Check the last 24h of predictions"
    panel.number_input(key="window-hours").set_value(6).run()
    panel.button(key="check-window").click().run()
    panel = open_panel(monkeypatch, core, "drift")
    core.monitoring.checks = []
    panel.segmented_control(key="window-unit").set_value("Rows").run()
    panel.number_input(key="window-rows").set_value(700).run()
    panel.checkbox(key="domain-classifier").check().run()
    panel.button(key="check-window").click().run()
    assert core.monitoring.started == [(None, "6h"), (None, "700 rows")]
    assert core.monitoring.classifiers == [False, True]


def test_the_command_of_a_window_of_rows_can_be_typed(
    monkeypatch: pytest.MonkeyPatch, core: FakeCore
) -> None:
    window = replace(make_check(2), batch_id=None, window="700 rows")
    core.monitoring.checks = [window]
    panel = open_panel(monkeypatch, core, "drift")
    assert "pilothouse drift titanic --last-rows 700" in texts(panel)


def test_a_check_that_somebody_else_starts_comes_into_view(
    monkeypatch: pytest.MonkeyPatch, core: FakeCore
) -> None:
    newer = make_check(3, RunStatus.RUNNING)

    def asked(problem: str, limit: int = 100) -> tuple[Check, ...]:
        if limit == 1 and newer not in core.monitoring.checks:
            core.monitoring.checks.insert(0, newer)
        return tuple(core.monitoring.checks[:limit])

    monkeypatch.setattr(core.monitoring, "list", asked)
    panel = open_panel(monkeypatch, core, "drift")
    assert "Checking batch" in texts(panel)


def test_a_failed_check_says_why(monkeypatch: pytest.MonkeyPatch, core: FakeCore) -> None:
    core.monitoring.checks = [make_check(1, RunStatus.FAILED)]
    panel = open_panel(monkeypatch, core, "drift")
    assert "NannyML found no rows" in panel.error[0].value


def test_acknowledging_needs_a_note(monkeypatch: pytest.MonkeyPatch, core: FakeCore) -> None:
    panel = open_panel(monkeypatch, core, "drift")
    button = next(one for one in panel.button if one.label == "Acknowledge")
    assert button.disabled
    panel.text_input[0].set_value("Prices went up, retrain tonight.").run()
    next(one for one in panel.button if one.label == "Acknowledge").click().run()
    (alert,) = core.alerts.alerts
    assert alert.status is AlertStatus.ACKNOWLEDGED
    assert "Prices went up, retrain tonight." in texts(panel)


def test_what_is_down_is_said(monkeypatch: pytest.MonkeyPatch, core: FakeCore) -> None:
    core.monitoring.failure = UnavailableError("The database does not answer.")
    panel = open_panel(monkeypatch, core, "drift")
    assert "The database does not answer" in panel.warning[0].value
    core.monitoring.failure = None
    core.monitoring.refusal = ConflictError("A check of titanic is active already.")
    panel = open_panel(monkeypatch, core, "drift")
    next(one for one in panel.button if one.label == "Check this batch").click().run()
    assert "is active already" in texts(panel) + str([one.value for one in panel.warning])


def test_the_overview_shows_alerts_and_the_last_check(
    monkeypatch: pytest.MonkeyPatch, core: FakeCore
) -> None:
    panel = open_panel(monkeypatch, core)
    figures = {one.label: one.value for one in panel.metric}
    assert figures["Open alerts"] == "1"
    assert "**Titanic survival: drift**" in texts(panel)
    assert "Last check" in texts(panel)


def test_frames_hold_what_was_measured() -> None:
    report = make_drift_report()
    features = features_frame(report)
    assert features["Feature"].tolist() == ["Prediction", "Fare", "Pclass"]
    assert features["By PSI"].tolist() == ["✓ ok", "✕ critical", "✓ ok"]
    assert features["Methods that alert"].tolist()[1] == "Jensen-Shannon distance"
    quality = quality_frame(report.quality)
    assert quality.loc[0, "Unseen values"] == "X (3)"
    reasons = reasons_frame(report.verdict.reasons)
    assert reasons["Verdict"].tolist() == ["✕ critical", "✓ ok"]


def test_courses_shade_the_reference_and_leave_gaps() -> None:
    report = make_drift_report()
    (performance,) = report.performance
    chart = charts.performance_chart(report.chunks, performance, "AUC").to_dict()
    kinds = {
        layer["mark"] if isinstance(layer["mark"], str) else layer["mark"]["type"]
        for layer in chart["layer"]
    }
    assert {"rect", "rule", "area", "line", "point"} <= kinds
    course = charts.Course((0.1, None, 0.3), (False, False, True), None, 0.2)
    drawn = charts.course_chart(report.chunks, course, "Fare by chunk", "Distance").to_dict()
    rows = next(data for data in drawn["datasets"].values() if "beyond" in data[0])
    assert [row["value"] for row in rows] == [0.1, None, 0.3, None, None, None]
    assert [row["beyond"] for row in rows] == [False, False, True, False, False, False]


def test_the_past_error_of_the_estimate_is_shown(
    monkeypatch: pytest.MonkeyPatch, core: FakeCore
) -> None:
    panel = open_panel(monkeypatch, core, "drift")
    said = texts(panel)
    assert "Calibration error on the reference: 0.090, after NannyML's recalibration 0.060" in said
    assert "Mean past error over 1 check with labels: 0.040." in said
    tables = [one.value for one in panel.dataframe]
    (past,) = [table for table in tables if "Realized" in table]
    assert past.loc[0, ["Metric", "Labels", "Estimated", "Realized"]].tolist() == [
        "AUC", 120, 0.85, 0.81,
    ]  # fmt: skip
    assert past.loc[0, "Error"] == pytest.approx(0.04)
