from __future__ import annotations

from dataclasses import replace

import pytest

from core.domain import RequestStatus, RunStatus
from core.errors import ConflictError, InvalidInputError, Offence, ResourceError, UnavailableError
from core.services import machine
from core.training.usage import ExecutorCourse
from tests.unit.app_fakes import (
    active_run,
    make_core,
    make_request,
    make_run,
    make_usage,
    open_panel,
    run_id,
    texts,
)
from tests.unit.app_promotion_fakes import make_promotion


def test_profile_is_explained_in_plain_words(monkeypatch: pytest.MonkeyPatch) -> None:
    panel = open_panel(monkeypatch, make_core(), "train")
    assert "1 Spark executor with 2 cores and 2.0 GiB." in texts(panel)
    panel.selectbox[1].set_value("4c-6g").run()
    said = texts(panel)
    assert "2 Spark executors with 2 cores and 3.0 GiB each (4 cores and 6.0 GiB in total)" in said
    assert "36 fits at most" in said


def test_defaults_start_a_run_with_nothing_overridden(monkeypatch: pytest.MonkeyPatch) -> None:
    core = make_core()
    panel = open_panel(monkeypatch, core, "train")
    panel.button[0].click().run()
    assert core.runs.started == [("titanic", "2c-2g", {}, "operator")]
    assert panel.query_params["run"] == core.runs.runs[0].id
    assert "waiting for the cluster" in panel.get("progress")[0].proto.text


def test_budget_and_families_become_overrides(monkeypatch: pytest.MonkeyPatch) -> None:
    core = make_core()
    panel = open_panel(monkeypatch, core, "train")
    panel.number_input[0].set_value(3)
    panel.button_group[0].set_value(["lr"])
    panel.run()
    panel.button[0].click().run()
    assert core.runs.started[0][2] == {"search.trials": "3", "search.families": "[lr]"}


def test_seconds_are_a_budget_of_the_adaptive_search_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    core = make_core()
    panel = open_panel(monkeypatch, core, "train")
    assert len(panel.number_input) == 1
    panel.button_group[1].set_value("tpe").run()
    assert "not reproducible" not in texts(panel)
    panel.number_input[1].set_value(90.0).run()
    assert "A budget in seconds is not reproducible" in texts(panel)
    panel.button[0].click().run()
    assert core.runs.started[0][2] == {"search.strategy": "tpe", "search.seconds": "90"}


def test_seconds_do_not_outlive_the_strategy(monkeypatch: pytest.MonkeyPatch) -> None:
    core = make_core()
    panel = open_panel(monkeypatch, core, "train")
    panel.button_group[1].set_value("tpe").run()
    panel.number_input[1].set_value(90.0).run()
    panel.button_group[1].set_value("grid").run()
    panel.button[0].click().run()
    assert core.runs.started[0][2] == {}


def test_a_profile_with_more_cores_than_the_machine_is_labelled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(machine, "usable_cores", lambda: 2)
    panel = open_panel(monkeypatch, make_core(), "train", profile="4c-4g")
    assert panel.selectbox[1].options == [
        *("1c-1g", "2c-2g", "4c-4g (oversubscribed)", "4c-6g (oversubscribed)", "Other…"),
    ]
    assert panel.selectbox[1].value == "4c-4g"
    assert "it asks for 4 cores and this machine has 2" in texts(panel)
    panel.selectbox[1].set_value("2c-2g").run()
    assert "Oversubscribed" not in texts(panel)
    unknown = open_panel(monkeypatch, make_core(), "train", profile="9c-9g")
    assert unknown.selectbox[1].value == "2c-2g"


def test_a_profile_of_ones_own_starts_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "usable_cores", lambda: 2)
    core = make_core()
    panel = open_panel(monkeypatch, core, "train")
    panel.selectbox[1].set_value("Other…").run()
    executors, each, memory = panel.number_input[:3]
    assert (executors.value, each.value, memory.value) == (1, 2, 2.0)
    executors.set_value(3)
    each.set_value(1)
    memory.set_value(4.5)
    panel.run()
    said = texts(panel)
    assert "3 Spark executors with 1 core and 1.5 GiB each" in said
    assert "it asks for 3 cores and this machine has 2" in said
    panel.button[0].click().run()
    assert core.runs.started == [("titanic", "3x1c-4.5g", {}, "operator")]


def test_a_profile_of_ones_own_that_breaks_a_rule_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    panel = open_panel(monkeypatch, make_core(), "train")
    panel.selectbox[1].set_value("Other…").run()
    panel.button_group[0].set_value(["gbt"]).run()
    panel.number_input[0].set_value(5).run()
    said = texts(panel).replace("\\", "")
    assert "Profile 5x2c-2g cannot be used." in said
    assert "512 MiB of memory for each" in said
    assert not panel.exception
    assert panel.button[0].label == "Start the run"
    assert panel.button[0].disabled
    panel.number_input[0].set_value(2).run()
    assert panel.button_group[0].value == ["gbt"]
    assert not panel.button[0].disabled
    assert panel.number_input[0].max == 9_999


def test_a_profile_of_a_sweep_that_has_no_name_is_filled_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    panel = open_panel(monkeypatch, make_core(), "train", profile="2x1c-3g")
    assert panel.selectbox[1].value == "Other…"
    assert [one.value for one in panel.number_input[:3]] == [2, 1, 3.0]


def test_another_strategy_becomes_an_override(monkeypatch: pytest.MonkeyPatch) -> None:
    core = make_core()
    panel = open_panel(monkeypatch, core, "train")
    panel.button_group[1].set_value("tpe").run()
    panel.button[0].click().run()
    assert core.runs.started[0][2] == {"search.strategy": "tpe"}


def test_the_form_says_how_much_of_the_grid_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    panel = open_panel(monkeypatch, make_core(), "train")
    assert "has 30 models; 12 of them are tried, a sample drawn" in texts(panel)
    panel.button_group[0].set_value(["gbt"]).run()
    said = texts(panel)
    assert "has 8 models; all of it is tried." in said
    assert "24 fits at most" in said
    panel.button_group[1].set_value("tpe").run()
    assert "full grid" not in texts(panel)


def test_no_family_no_start(monkeypatch: pytest.MonkeyPatch) -> None:
    panel = open_panel(monkeypatch, make_core(), "train")
    panel.button_group[0].set_value([]).run()
    assert panel.button[0].disabled


def test_conflict_points_to_the_active_run(monkeypatch: pytest.MonkeyPatch) -> None:
    core = make_core(active_run(3))
    core.runs.start_failure = ConflictError(
        "A run of titanic is active.", fix="Wait for it or cancel it."
    )
    panel = open_panel(monkeypatch, core, "train")
    panel.button[0].click().run()
    assert "A run of titanic is active." in panel.warning[0].value
    links = [link.proto.label for link in panel.get("page_link")]
    assert f"Show the active run {run_id(3)[:8]}" in links


@pytest.mark.parametrize(
    ("failure", "sentence"),
    [
        (ResourceError("The cluster has 2 CPUs.", fix="Choose 2c-2g."), "Choose 2c-2g."),
        (UnavailableError("Ray does not answer.", fix="Run make up."), "Run make up."),
        (
            InvalidInputError("It cannot be used.", offences=[Offence("search.trials", "too low")]),
            "**search.trials**: too low",
        ),
        (RuntimeError("boom"), "Details are in the panel's log"),
    ],
)
def test_refused_start_says_why_and_keeps_the_page(
    monkeypatch: pytest.MonkeyPatch, failure: Exception, sentence: str
) -> None:
    core = make_core(make_run(1))
    core.runs.start_failure = failure
    panel = open_panel(monkeypatch, core, "train")
    panel.button[0].click().run()
    said = texts(panel).replace("\\", "")
    assert sentence in said
    assert "boom" not in said
    assert "Recent runs" in said
    assert not panel.exception


def test_reload_attaches_to_the_active_run(monkeypatch: pytest.MonkeyPatch) -> None:
    panel = open_panel(monkeypatch, make_core(active_run(3), make_run(2)), "train")
    said = texts(panel)
    assert panel.get("progress")[0].proto.value == 45
    assert "✓ preprocess → **train** → evaluate" in said
    assert "12:00:07 891 rows" in said
    assert panel.query_params["run"] == run_id(3)
    # What a table leaves that is drawn anew and tells that nothing is ticked.
    panel.query_params["run"] = ""
    panel.run()
    assert panel.query_params["run"] == run_id(3)


def test_cancel_asks_first_and_then_shows_the_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    core = make_core(active_run(3))
    panel = open_panel(monkeypatch, core, "train")
    assert core.runs.cancelled == []
    panel.button(key=f"cancel-{run_id(3)}").click().run()
    assert core.runs.cancelled == [run_id(3)]
    assert "The run was cancelled." in texts(panel)


def test_finished_run_says_what_comes_next(monkeypatch: pytest.MonkeyPatch) -> None:
    core = make_core(make_run(2), make_run(1), production=1)
    core.promotions.listed = [make_request(2)]
    panel = open_panel(monkeypatch, core, "train", run=run_id(2))
    said = texts(panel)
    assert "registered version v2" in said
    assert "It passed the hard gates and waits for a person." in said
    links = {one.proto.label: one.proto.query_string for one in panel.get("page_link")}
    assert links["Decide on it"] == "request=req-2"


def test_finished_run_shows_the_time_of_each_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    core = make_core(make_run(1))
    panel = open_panel(monkeypatch, core, "train", run=run_id(1))
    shown = next(one.value for one in panel.dataframe if "Stage" in one.value)
    assert shown.to_dict("list") == {"Stage": ["start Spark", "train"], "Time (s)": [0.4, 31.2]}
    assert "took 32 s together. Spark was warm" in texts(panel)
    core.experiments.without_usage = True
    older = open_panel(monkeypatch, core, "train", run=run_id(1))
    assert "together" not in texts(older)
    assert not older.exception


@pytest.mark.parametrize(("executors", "charts"), [(0, 2), (1, 2), (2, 4)])
def test_executors_are_shown_by_themselves_where_there_are_several(
    monkeypatch: pytest.MonkeyPatch, executors: int, charts: int
) -> None:
    core = make_core(make_run(1))
    usage = make_usage()
    flat = (1.0,) * len(usage.points)
    each = tuple(
        ExecutorCourse(node=f"10.0.0.{n}", pid=n, cores=flat, rss_mb=flat) for n in range(executors)
    )
    found = usage.model_copy(update={"executors": each})
    monkeypatch.setattr(core.experiments, "usage", lambda run_id: found)
    panel = open_panel(monkeypatch, core, "train", run=run_id(1))
    assert len(panel.get("vega_lite_chart")) == charts


def test_outcome_tells_how_the_promotion_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    core = make_core(make_run(2), make_run(1), production=2)
    assert "in **Production**" in texts(open_panel(monkeypatch, core, "train", run=run_id(2)))
    assert "a gate kept it out" in texts(open_panel(monkeypatch, core, "train", run=run_id(1)))
    core.promotions.listed = [replace(make_request(1), status=RequestStatus.REJECTED)]
    said = texts(open_panel(monkeypatch, core, "train", run=run_id(1)))
    assert "Its request for promotion is rejected." in said


def test_a_run_that_is_older_than_the_list_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    core = make_core(*(make_run(number) for number in range(25, 0, -1)))
    panel = open_panel(monkeypatch, core, "train", run=run_id(1))
    assert "registered version v1" in texts(panel)
    core.runs.runs[-1] = replace(make_run(1), problem="another")
    assert "No run is active" in texts(panel.run())
    panel = open_panel(monkeypatch, core, "train", run="gone")
    assert "There is no such run." in panel.error[0].value


def test_a_version_that_came_first_is_not_said_to_have_been_kept_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    core = make_core(make_run(2), make_run(1), production=2)
    core.promotions.record.append(make_promotion(1))
    said = texts(open_panel(monkeypatch, core, "train", run=run_id(1)))
    assert "It was in **Production** until another version took its place." in said
    assert "put up for promotion" not in said


def test_failed_run_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    core = make_core(make_run(2, RunStatus.FAILED))
    panel = open_panel(monkeypatch, core, "train", run=run_id(2))
    assert "Spark stopped making progress." in panel.error[0].value


def test_store_that_is_down_leaves_the_form(monkeypatch: pytest.MonkeyPatch) -> None:
    core = make_core()
    core.runs.failure = UnavailableError("MLflow does not answer.", fix="Run make up.")
    panel = open_panel(monkeypatch, core, "train")
    assert "MLflow does not answer." in panel.warning[0].value
    assert panel.button[0].label == "Start the run"
