from __future__ import annotations

import pytest

from app.compare.costs import (
    expected_seconds,
    means_frame,
    most_fits,
    phases_sentence,
    stages_frame,
    unusual,
    usage_sentence,
)
from core.domain import Progress, RunStatus, Stage
from core.errors import ConflictError, NotFoundError, ResourceError, UnavailableError
from core.params import load_params
from core.services import machine
from core.settings import CODE_ROOT
from tests.unit.app_fakes import (
    FakeCore,
    make_core,
    make_run,
    make_sweep,
    make_sweep_report,
    make_usage,
    open_panel,
    run_id,
    texts,
)

PARAMS = load_params(CODE_ROOT / "params.yaml")
RUNNING = Progress(Stage.TRAIN, 42, "2c-2g, rf, repeat 1 of 2")


@pytest.fixture(autouse=True)
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "usable_cores", lambda: 2)


@pytest.fixture
def core() -> FakeCore:
    """Three sweeps: the newest has failed, the others have finished."""
    made = make_core()
    made.sweeps.sweeps = [make_sweep(3, RunStatus.FAILED), make_sweep(2), make_sweep(1)]
    return made


def test_nothing_measured_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    panel = open_panel(monkeypatch, make_core(), "resources")
    said = texts(panel)
    assert "Nobody has measured yet what Titanic survival costs" in panel.info[0].value
    assert "pilothouse profile titanic --profiles 1c-1g,2c-2g --families lr,rf,gbt --repeat 2" in (
        said
    )
    assert not panel.get("vega_lite_chart")
    assert not panel.button[0].disabled


def test_the_verdict_comes_first_with_its_reasons(
    monkeypatch: pytest.MonkeyPatch, core: FakeCore
) -> None:
    panel = open_panel(monkeypatch, core, "resources")
    first, reasons = panel.markdown[0].value, panel.markdown[1].value
    assert first == "### Use 2c-2g with Random Forest"
    for topic in ("Profile", "Family", "Cores", "Memory", "Boosting"):
        assert f"- **{topic}**: " in reasons
    assert "4c-4g is oversubscribed" in reasons
    said = texts(panel)
    for heading in ("Efficiency frontier", "Stages that took longest", "Diminishing returns"):
        assert heading in said
    # Time, AUC, two frontiers, CPU, memory, two curves of boosting.
    assert len(panel.get("vega_lite_chart")) == 8
    links = [link.proto for link in panel.get("page_link")]
    train = next(link for link in links if link.label == "Train with this profile")
    assert "profile=2c-2g" in train.query_string
    assert not panel.exception


def test_an_earlier_sweep_can_be_looked_at(monkeypatch: pytest.MonkeyPatch, core: FakeCore) -> None:
    panel = open_panel(monkeypatch, core, "resources")
    key = f"sweep-{run_id(1003)}"
    assert panel.selectbox(key=key).value == run_id(1002)
    panel.selectbox(key=key).set_value(run_id(1001)).run()
    assert panel.query_params["sweep"] == run_id(1001)
    assert f"Sweep `{run_id(1001)[:8]}`" in texts(panel)
    again = open_panel(monkeypatch, core, "resources", sweep=run_id(1001))
    assert again.selectbox(key=key).value == run_id(1001)


def test_a_sweep_without_a_report_says_why(monkeypatch: pytest.MonkeyPatch, core: FakeCore) -> None:
    panel = open_panel(monkeypatch, core, "resources", sweep=run_id(1003))
    assert "Spark stopped making progress." in panel.error[0].value
    assert "pilothouse profiles logs" in texts(panel)
    assert not panel.get("vega_lite_chart")
    core.sweeps.sweeps[0] = make_sweep(3, RunStatus.CANCELLED)
    panel = open_panel(monkeypatch, core, "resources", sweep=run_id(1003))
    assert "The sweep was cancelled" in texts(panel)


def test_a_report_that_is_gone_leaves_the_form(
    monkeypatch: pytest.MonkeyPatch, core: FakeCore
) -> None:
    def gone(sweep_id: str) -> None:
        raise NotFoundError("The run was deleted in MLflow.")

    monkeypatch.setattr(core.sweeps, "report", gone)
    panel = open_panel(monkeypatch, core, "resources")
    assert "The run was deleted in MLflow." in panel.error[0].value
    assert panel.button[0].label == "Start the sweep"


def test_form_becomes_a_sweep_and_its_command(
    monkeypatch: pytest.MonkeyPatch, core: FakeCore
) -> None:
    panel = open_panel(monkeypatch, core, "resources")
    assert "At most 384 fits for cross-validation, on Spark started 4 times" in texts(panel)
    assert "By the times of the sweep shown, about" in texts(panel)
    panel.button_group[0].set_value(["2c-2g", "4c-6g"])
    panel.button_group[1].set_value(["lr", "gbt"])
    panel.number_input[0].set_value(1)
    panel.number_input[1].set_value(2)
    panel.run()
    said = texts(panel)
    assert "At most 24 fits for cross-validation, on Spark started 2 times" in said
    assert "nothing measured here tells yet" in said
    command = (
        "pilothouse profile titanic --profiles 2c-2g,4c-6g --families lr,gbt --repeat 1 "
        "--set search.trials=2"
    )
    assert command in said
    panel.button[0].click().run()
    asked = ("titanic", ("2c-2g", "4c-6g"), ("lr", "gbt"), 1, {"search.trials": "2"}, "operator")
    assert core.sweeps.started == [asked]
    assert panel.query_params["sweep"] == core.sweeps.sweeps[0].id
    assert "waiting for the cluster" in panel.get("progress")[0].proto.text


def test_a_profile_of_ones_own_is_measured_once(
    monkeypatch: pytest.MonkeyPatch, core: FakeCore
) -> None:
    panel = open_panel(monkeypatch, core, "resources")
    panel.button_group[0].set_value(["2c-2g", "Other…"]).run()
    # What it begins with is the default profile, which is chosen as well.
    assert "--profiles 2c-2g --families" in texts(panel)
    panel.number_input[0].set_value(2)
    panel.number_input[1].set_value(1)
    panel.run()
    assert "--profiles 2c-2g,2x1c-2g --families" in texts(panel)
    panel.button[0].click().run()
    assert core.sweeps.started[0][1] == ("2c-2g", "2x1c-2g")


def test_a_profile_of_ones_own_that_breaks_a_rule_keeps_the_form(
    monkeypatch: pytest.MonkeyPatch, core: FakeCore
) -> None:
    panel = open_panel(monkeypatch, core, "resources")
    panel.button_group[0].set_value(["1c-1g", "Other…"]).run()
    panel.button_group[1].set_value(["gbt"]).run()
    panel.number_input[0].set_value(5).run()
    assert "cannot be used" in texts(panel)
    assert panel.button[0].disabled
    panel.number_input[0].set_value(2).run()
    assert "--profiles 1c-1g,2x2c-2g --families gbt " in texts(panel)


def test_nothing_chosen_cannot_start(monkeypatch: pytest.MonkeyPatch) -> None:
    panel = open_panel(monkeypatch, make_core(), "resources")
    panel.button_group[0].set_value([]).run()
    assert panel.button[0].disabled
    assert "Choose at least one profile" in texts(panel)


@pytest.mark.parametrize(
    ("failure", "sentence"),
    [
        (ResourceError("Profile 4c-4g needs 4 cores.", fix="Choose less."), "Choose less."),
        (ConflictError("A sweep is active.", fix="Wait for it."), "Wait for it."),
        (UnavailableError("Ray does not answer.", fix="Run make up."), "Run make up."),
    ],
)
def test_refused_sweep_says_why_and_keeps_the_page(
    monkeypatch: pytest.MonkeyPatch, core: FakeCore, failure: Exception, sentence: str
) -> None:
    core.sweeps.start_failure = failure
    panel = open_panel(monkeypatch, core, "resources")
    panel.button[0].click().run()
    assert sentence in texts(panel)
    assert "Efficiency frontier" in texts(panel)


def test_a_reload_finds_the_sweep_that_goes_on(
    monkeypatch: pytest.MonkeyPatch, core: FakeCore
) -> None:
    core.sweeps.sweeps.insert(0, make_sweep(4, RunStatus.RUNNING, progress=RUNNING))
    panel = open_panel(monkeypatch, core, "resources")
    assert panel.get("progress")[0].proto.value == 42
    assert "42 % · train · 2c-2g, rf, repeat 1 of 2" in panel.get("progress")[0].proto.text
    assert panel.query_params["sweep"] == run_id(1004)
    assert "One sweep at a time" in texts(panel)
    # What was measured before stays in view.
    assert "Use 2c-2g with Random Forest" in texts(panel)


def test_cancel_asks_first_and_then_shows_the_outcome(
    monkeypatch: pytest.MonkeyPatch, core: FakeCore
) -> None:
    core.sweeps.sweeps = [make_sweep(4, RunStatus.RUNNING, progress=RUNNING)]
    panel = open_panel(monkeypatch, core, "resources")
    assert core.sweeps.cancelled == []
    panel.button(key=f"cancel-{run_id(1004)}").click().run()
    assert core.sweeps.cancelled == [run_id(1004)]
    assert "The sweep was cancelled" in texts(panel)


def test_mlflow_down_is_told_calmly(monkeypatch: pytest.MonkeyPatch, core: FakeCore) -> None:
    core.sweeps.failure = UnavailableError("MLflow does not answer.", fix="Run make up.")
    panel = open_panel(monkeypatch, core, "resources")
    assert panel.warning[0].value == "**MLflow does not answer.**\n\nRun make up."


def test_oversubscribed_profiles_are_labelled(
    monkeypatch: pytest.MonkeyPatch, core: FakeCore
) -> None:
    panel = open_panel(monkeypatch, core, "resources")
    assert panel.button_group[0].options[:3] == ["1c-1g", "2c-2g", "4c-4g (oversubscribed)"]
    assert panel.button_group[0].value == ["1c-1g", "2c-2g"]
    course = panel.selectbox(key=f"course-profile-{run_id(1002)}")
    assert course.options == ["1c-1g", "2c-2g", "4c-4g (oversubscribed)"]
    report = make_sweep_report(make_sweep(1), PARAMS)
    assert list(means_frame(report)["Profile"])[-1] == "4c-4g (oversubscribed)"


def test_any_measurement_can_be_followed_over_time(
    monkeypatch: pytest.MonkeyPatch, core: FakeCore
) -> None:
    panel = open_panel(monkeypatch, core, "resources")
    assert "6 s on 1 core" in texts(panel)
    panel.selectbox(key=f"course-profile-{run_id(1002)}").set_value("2c-2g")
    panel.selectbox(key=f"course-family-{run_id(1002)}").set_value("gbt")
    panel.selectbox(key=f"course-repeat-{run_id(1002)}").set_value(2).run()
    assert "29 s on 2 cores" in texts(panel)


def test_a_finished_run_shows_its_cost_or_says_that_it_kept_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    core = make_core(make_run(2))
    panel = open_panel(monkeypatch, core, "train", run=run_id(2))
    assert "core-seconds · utilization" in texts(panel)
    assert len(panel.get("vega_lite_chart")) == 2
    core.experiments.without_usage = True
    panel = open_panel(monkeypatch, core, "train", run=run_id(2))
    assert "Runs of an older release kept no course of CPU and memory." in texts(panel)
    assert not panel.warning


def test_stages_name_what_is_unusual() -> None:
    usage = make_usage()
    frame = stages_frame(usage.slowest)
    assert frame["Unusual"].tolist()[:2] == [
        "skew: 4.2 × the median task",
        "spill: 12.5 MiB to disk",
    ]
    assert frame["Skew"].isna().tolist()[:2] == [False, True]
    both = usage.slowest[0].model_copy(update={"spilled_mb": 3.0})
    assert unusual(both) == "skew: 4.2 × the median task; spill: 3.0 MiB to disk"
    assert unusual(both.model_copy(update={"skew": 1.9, "spilled_mb": 0.04})) == ""


def test_a_bill_is_one_line_with_units() -> None:
    usage = make_usage().model_copy(update={"core_seconds": 1234.4, "spilled_mb": 0.0})
    assert usage_sentence(usage).startswith("24 s on 2 cores · 1,234 core-seconds · utilization 8")
    assert usage_sentence(usage).endswith("spilled nothing")
    assert phases_sentence(usage) == "Phases: preprocess 6.0 s, train 18.0 s."
    assert phases_sentence(usage.model_copy(update={"phases": ()})) == "No phases were recorded."


def test_estimates_count_no_more_than_there_is() -> None:
    spaces = [{"a": (1, 2), "b": (1, 2, 3)}, {"a": (1,)}]
    assert most_fits(spaces, 4, 3, is_grid=True) == (4 + 1) * 3
    assert most_fits(spaces, 4, 3, is_grid=False) == (4 + 4) * 3
    report = make_sweep_report(make_sweep(1), PARAMS)
    # One repeat: starting Spark and the mean of both repeats of each family.
    assert expected_seconds(report, ["1c-1g"], ["lr"], 1) == pytest.approx(21 + 6 * 1.06)
    assert expected_seconds(report, ["1c-1g"], ["lr"], 3) == pytest.approx(3 * (21 + 6 * 1.06))
    assert expected_seconds(report, ["4c-6g"], ["lr"], 1) is None
    assert expected_seconds(report, [], ["lr"], 1) is None
