from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from app.components.run_table import runs_frame, summaries_frame
from core.domain import RunStatus
from core.errors import UnavailableError
from tests.unit.app_fakes import (
    NOW,
    FakeExperiments,
    FakeRuns,
    active_run,
    make_core,
    make_run,
    open_panel,
    run_id,
    texts,
)


def test_no_runs_explains_how_to_start_one(monkeypatch: pytest.MonkeyPatch) -> None:
    said = texts(open_panel(monkeypatch, make_core(), "experiments"))
    assert "There are no runs of Titanic survival to show yet." in said
    assert "pilothouse run titanic --wait" in said


def test_two_runs_are_laid_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    core = make_core(make_run(2), make_run(1))
    picked = f"{run_id(2)},{run_id(1)}"
    panel = open_panel(monkeypatch, core, "experiments", runs=picked)
    said = texts(panel)
    for heading in ("Metrics on the holdout", "Parameters", "Curves", "What the models look at"):
        assert heading in said
    assert "largest difference in probability 6.1e-07" in said
    table = panel.table[0].value
    assert list(table.columns) == [f"v2 · lr · {run_id(2)[:8]}", f"v1 · rf · {run_id(1)[:8]}"]
    # Over versions, intervals, parallel axes, three overlays; for each run a confusion matrix,
    # weights, the course of its search, what mattered in it, CPU and memory.
    assert len(panel.get("vega_lite_chart")) == 6 + 2 * 6
    for cost in ("Core time of Spark (s)", "Peak memory of Spark (MiB)"):
        assert cost in table.index
    assert list(table.loc["Garbage collection (share of task time)"]) == ["3.1%"] * 2
    assert "How much the parameters of Random Forest mattered: Too few candidates to tell" in said


def test_nothing_picked_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    panel = open_panel(monkeypatch, make_core(make_run(1)), "experiments")
    assert "Tick one run" in panel.info[0].value


def test_run_without_evaluation_is_named_and_the_other_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    core = make_core(make_run(2, RunStatus.FAILED), make_run(1))
    picked = f"{run_id(2)},{run_id(1)}"
    panel = open_panel(monkeypatch, core, "experiments", runs=picked)
    assert "This run has no evaluation." in panel.warning[0].value
    assert "Metrics on the holdout" in texts(panel)


def test_the_search_is_drawn_over_time_or_over_candidates(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    core = make_core(make_run(1))
    panel = open_panel(monkeypatch, core, "experiments", runs=run_id(1))
    choice = panel.button_group(key=f"best-so-far-{run_id(1)}")
    assert choice.value == "time"
    assert "Seconds since the search began" in _charts(panel)
    choice.set_value("candidates").run()
    assert "Seconds since the search began" not in _charts(panel)
    assert "Candidate, in order of trial" in _charts(panel)


def _charts(panel: AppTest) -> str:
    return "".join(one.proto.spec for one in panel.get("vega_lite_chart"))


def test_any_number_of_runs_is_compared_and_charts_say_what_they_leave_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runs = [make_run(number) for number in range(8, 0, -1)]
    picked = ",".join(run.id for run in runs)
    panel = open_panel(monkeypatch, make_core(*runs), "experiments", runs=picked)
    assert not panel.exception
    metrics, parameters = (table.value for table in panel.table[:2])
    # A row a run, because eight columns would be broken lines.
    assert len(metrics) == len(parameters) == 8
    assert "AUC" in metrics.columns
    assert "Family" in parameters.columns
    assert "the baseline and the 5 first of the 7 others" in panel.info[0].value
    said = texts(panel)
    assert sum(f"v{number} · " in said for number in range(1, 9)) == 8
    # Six matrices and six pictures of weights, not eight.
    assert said.count("Threshold 0.") == 6
    detailed = panel.selectbox(key="detailed")
    assert len(detailed.options) == 8


def test_only_finished_hides_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    core = make_core(active_run(3), make_run(2, RunStatus.FAILED), make_run(1))
    panel = open_panel(monkeypatch, core, "experiments")
    assert len(panel.dataframe[0].value) == 3
    panel.toggle[0].set_value(True).run()
    assert list(panel.dataframe[0].value["Version"]) == ["v1"]


def test_mlflow_down_is_told_calmly(monkeypatch: pytest.MonkeyPatch) -> None:
    core = make_core(make_run(1))
    core.experiments.failure = UnavailableError("MLflow does not answer.", fix="Run make up.")
    panel = open_panel(monkeypatch, core, "experiments")
    assert panel.warning[0].value == "**MLflow does not answer.**\n\nRun make up."
    assert not panel.error


def test_table_puts_runs_without_metrics_beside_those_with_them() -> None:
    runs = FakeRuns([active_run(2), make_run(1)])
    frame = summaries_frame(FakeExperiments(runs).table("titanic"), NOW)
    assert list(frame["Status"]) == ["▶ running", "✓ finished"]
    assert frame["AUC"].isna().tolist() == [True, False]
    assert frame["AUC"].dtype == "Float64"
    assert list(frame["model.maxDepth"]) == ["", "5"]
    assert frame["Core time of Spark (s)"].isna().tolist() == [True, False]
    assert frame["Garbage collection (share of task time)"][1] == 0.031
    assert "family" not in frame.columns


def test_durations_sort_as_durations() -> None:
    frame = runs_frame([make_run(2), make_run(1)], NOW)
    assert frame["Duration"].tolist() == [pd.Timedelta(seconds=97)] * 2
    assert frame["Started (UTC)"][0] - frame["Started (UTC)"][1] == timedelta(minutes=1)


def test_picked_runs_are_held_against_the_baseline(monkeypatch: pytest.MonkeyPatch) -> None:
    core = make_core(make_run(3), make_run(2), make_run(1))
    picked = f"{run_id(3)},{run_id(1)}"
    panel = open_panel(monkeypatch, core, "experiments", runs=picked)
    new, old = f"v3 · gbt · {run_id(3)[:8]}", f"v1 · rf · {run_id(1)[:8]}"
    assert panel.selectbox(key=baseline_key(3, 1)).value == old
    assert f"**{new}** is better than **{old}** with probability" in texts(panel)
    assert "Slices of the holdout" in texts(panel)
    slices = panel.dataframe[1].value
    assert {"Pclass", "Sex", "Age", "Fare"} == set(slices["Column"])
    assert f"**{new}** against **{old}**" in texts(panel)


def test_of_many_runs_some_are_judged_row_by_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.compare.values.MOST_JUDGED", 2)
    core = make_core(make_run(4), make_run(3), make_run(2), make_run(1))
    read: list[str] = []
    predictions = core.experiments.predictions
    monkeypatch.setattr(
        core.experiments, "predictions", lambda one: (read.append(one), predictions(one))[1]
    )
    picked = ",".join(run_id(number) for number in (4, 3, 2, 1))
    panel = open_panel(monkeypatch, core, "experiments", runs=picked)
    # The baseline, which is the oldest, and the newest.
    assert read == [run_id(4), run_id(1)]
    assert "the 1 first of the 3 others are held against the baseline" in texts(panel)
    assert len(panel.table[0].value.columns) == 4


def test_another_baseline_turns_the_comparison_round(monkeypatch: pytest.MonkeyPatch) -> None:
    core = make_core(make_run(3), make_run(1))
    picked = f"{run_id(3)},{run_id(1)}"
    panel = open_panel(monkeypatch, core, "experiments", runs=picked)
    before = panel.table[0].value
    new, old = before.columns
    assert ":green[" in before[new]["AUC"]
    panel.selectbox(key=baseline_key(3, 1)).set_value(new).run()
    after = panel.table[0].value
    assert ":red[" in after[old]["AUC"]
    assert ":" not in after[new]["AUC"]
    assert panel.query_params["baseline"] == run_id(3)
    assert f"**{old}** against **{new}**" in texts(panel)


def test_the_serving_run_is_the_baseline_to_start_from(monkeypatch: pytest.MonkeyPatch) -> None:
    core = make_core(make_run(3), make_run(2), make_run(1), production=2)
    picked = ",".join(run_id(number) for number in (3, 2, 1))
    panel = open_panel(monkeypatch, core, "experiments", runs=picked)
    assert panel.selectbox(key=baseline_key(3, 2, 1)).value.startswith("v2")
    asked = open_panel(monkeypatch, core, "experiments", runs=picked, baseline=run_id(3))
    assert asked.selectbox(key=baseline_key(3, 2, 1)).value.startswith("v3")


def test_one_run_has_nothing_to_be_held_against(monkeypatch: pytest.MonkeyPatch) -> None:
    panel = open_panel(monkeypatch, make_core(make_run(1)), "experiments", runs=run_id(1))
    said = texts(panel)
    assert "Metrics on the holdout" in said
    assert "Which one is better" not in said
    assert "Slices" not in said
    assert not panel.warning


def test_runs_without_predictions_are_still_laid_side_by_side(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    core = make_core(make_run(2), make_run(1))
    core.experiments.without_predictions = True
    panel = open_panel(monkeypatch, core, "experiments", runs=f"{run_id(2)},{run_id(1)}")
    assert "no comparison row by row" in panel.warning[0].value
    said = texts(panel)
    assert "cannot be held against the baseline row by row" in said
    assert "Curves" in said
    assert "Slices" not in said


def test_search_narrows_the_table_and_keeps_what_is_ticked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    core = make_core(make_run(3), make_run(2), make_run(1))
    panel = open_panel(monkeypatch, core, "experiments", runs=run_id(1))
    panel.text_input(key="search").set_value("auc>0.88").run()
    assert list(panel.dataframe[0].value["Version"]) == ["v3", "v2"]
    assert "2 of 3 runs, newest first" in texts(panel)
    assert list(panel.table[0].value.columns) == [f"v1 · rf · {run_id(1)[:8]}"]
    panel.text_input(key="search").set_value("nothing-like-it").run()
    assert "0 of 3 runs" in texts(panel)
    assert not panel.exception


def test_runs_that_are_older_than_the_list_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    core = make_core(*(make_run(number) for number in range(203, 0, -1)))
    picked = f"{run_id(203)},{run_id(1)},gone"
    panel = open_panel(monkeypatch, core, "experiments", runs=picked)
    assert [name.split(" ")[0] for name in panel.table[0].value.columns] == ["v203", "v1"]
    assert "There is no such run." in panel.error[0].value
    core.runs.runs[-1] = replace(make_run(1), problem="another")
    panel.run()
    assert [name.split(" ")[0] for name in panel.table[0].value.columns] == ["v203"]


def test_comparison_can_be_taken_away(monkeypatch: pytest.MonkeyPatch) -> None:
    core = make_core(make_run(2), make_run(1))
    panel = open_panel(monkeypatch, core, "experiments", runs=f"{run_id(2)},{run_id(1)}")
    labels = [button.proto.label for button in panel.get("download_button")]
    assert labels == ["Table as CSV", "Comparison as CSV", "Report as HTML"]


def baseline_key(*numbers: int) -> str:
    return "-".join(["baseline", *map(run_id, numbers)])
