from __future__ import annotations

from datetime import timedelta

import pandas as pd
import pytest

from app.components.comparison import (
    candidates_frame,
    columns_frame,
    metrics_frame,
    parameters_frame,
)
from app.components.run_table import runs_frame, summaries_frame
from core.domain import RunStatus
from core.errors import UnavailableError
from tests.unit.app_fakes import (
    NOW,
    FakeExperiments,
    FakeRuns,
    active_run,
    make_core,
    make_report,
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
    # Interval chart, three overlays, then a confusion matrix and weights for each run.
    assert len(panel.get("vega_lite_chart")) == 8


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


def test_too_many_picks_are_cut_to_what_can_be_told_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runs = [make_run(number) for number in range(8, 0, -1)]
    picked = ",".join(run.id for run in runs)
    panel = open_panel(monkeypatch, make_core(*runs), "experiments", runs=picked)
    assert "8 runs are ticked; the 6 newest are compared." in panel.warning[0].value
    assert len(panel.table[0].value.columns) == 6


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
    assert "family" not in frame.columns


def test_durations_sort_as_durations() -> None:
    frame = runs_frame([make_run(2), make_run(1)], NOW)
    assert frame["Duration"].tolist() == [pd.Timedelta(seconds=97)] * 2
    assert frame["Started (UTC)"][0] - frame["Started (UTC)"][1] == timedelta(minutes=1)


def test_best_metric_is_bold_unless_all_agree() -> None:
    frame = metrics_frame({"a": make_report(1), "b": make_report(2)})
    assert list(frame.loc["AUC"]) == [
        "0.872 \\[0.832, 0.902]",
        "**0.884** \\[0.844, 0.914]",
    ]
    assert list(frame.loc["Recall"]) == ["0.735 \\[0.695, 0.765]"] * 2
    assert list(frame.loc["CV AUC"]) == ["0.868", "0.880"]
    better = make_report(1).model_copy(
        update={"metrics": {"log_loss": make_report().metrics["brier"]}}
    )
    frame = metrics_frame({"a": make_report(1), "b": better})
    assert list(frame.loc["Log-loss (less is better)"]) == [
        "0.421 \\[0.381, 0.451]",
        "**0.132** \\[0.092, 0.162]",
    ]
    assert list(frame.loc["AUC"])[1] == "–"


def test_parameters_of_different_families_share_one_table() -> None:
    other = make_report(2, family="lr").model_copy(update={"params": {"regParam": 0.01}})
    frame = parameters_frame({"a": make_report(1), "b": other})
    assert list(frame.loc["maxDepth"]) == ["5", "–"]
    assert list(frame.loc["regParam"]) == ["–", "0.01"]
    assert list(frame.loc["Family"]) == ["Gradient-Boosted Trees", "Logistic Regression"]


def test_candidates_that_were_given_up_come_last_and_say_so() -> None:
    first, *rest = make_report().candidates
    given_up = {"pruned": True, "fold_auc": (0.99,), "mean_auc": 0.99, "standard_error": None}
    table = candidates_frame([first.model_copy(update=given_up), *rest])
    assert table["Candidate"].tolist()[-1] == first.index
    assert table["Folds"].tolist()[-1] == "0.990, then given up"


def test_details_list_best_candidate_first_and_imputation() -> None:
    report = make_report()
    candidates = candidates_frame(report.candidates)
    assert candidates["Candidate"].tolist() == list(range(11, -1, -1))
    assert candidates["Parameters"][0] == "maxDepth=14, maxIter=15"
    columns = columns_frame(report.columns)
    assert columns["Share missing"].tolist() == ["19.8%", "0.3%", "0.0%"]
    assert columns["A missing value becomes"].tolist() == ["28", "S", "nothing: it must be given"]
