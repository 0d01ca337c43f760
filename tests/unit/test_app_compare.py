from __future__ import annotations

import csv
import io
import re
from dataclasses import replace
from datetime import UTC, datetime

import pandas as pd
import pytest

from app.compare.details import candidates_frame, columns_frame
from app.compare.files import comparison_csv, comparison_html, table_csv
from app.compare.filters import matching
from app.compare.slices import slices_frame
from app.compare.tables import (
    Cell,
    Row,
    laid_out,
    markdown_frame,
    metric_rows,
    parallel_axes,
    parameter_rows,
)
from app.compare.values import MOST_JUDGED, Comparison, drawn_sentence, judged_sentence
from app.components.run_table import summaries_frame
from app.components.versions import version_metrics
from core.domain import RunStatus
from core.problems.titanic import PROBLEM as TITANIC
from core.training.bands import curve_bands
from core.training.comparison import (
    AucComparison,
    Incomparable,
    Resampling,
    SliceComparison,
    SliceScore,
    compare_auc,
    compare_slices,
)
from core.training.report import EvaluationReport
from core.training.verdicts import (
    BETTER,
    CANNOT_TELL,
    ONE_CLASS,
    TOO_SMALL,
    WORSE,
    slice_verdict,
    slices_summary,
    verdict_sentence,
)
from tests.unit.app_fakes import (
    NOW,
    FakeExperiments,
    FakeRuns,
    make_predictions,
    make_report,
    make_run,
)

HOW = Resampling(samples=200, confidence=0.95, seed=1)


def bare(**evaluations: EvaluationReport) -> Comparison:
    """Reports alone, the last one being the baseline."""
    ids = {name: f"id-{name}" for name in evaluations}
    return Comparison(evaluations, list(evaluations)[-1], ids, {}, {}, {}, {})


def full() -> Comparison:
    new, old = make_predictions(3), make_predictions(1)
    verdict = compare_auc(old, new, HOW)
    return replace(
        bare(new=make_report(3), old=make_report(1)),
        costs={"new": {"wall_seconds": 97.0}, "old": {"wall_seconds": 50.0}},
        bands={"new": curve_bands(new, HOW), "old": curve_bands(old, HOW)},
        verdicts={"new": verdict},
        slices={"new": compare_slices(old, new, (0.5, 0.5), HOW)},
    )


def row_named(rows: tuple[Row, ...], heading: str) -> tuple[Cell, ...]:
    return dict(rows)[heading]


def found(probability: float, low: float, high: float) -> AucComparison:
    return AucComparison((low + high) / 2, low, high, probability, 178, 1000, 0.95)


def piece(
    probability: float | None, *, too_small: bool = False, value: str = "a"
) -> SliceComparison:
    score = SliceScore(0.5, None, None)
    return SliceComparison("Sex", value, 30, 9, score, score, None, probability, too_small)


def test_best_metric_is_bold_unless_all_agree() -> None:
    frame = markdown_frame(metric_rows(bare(b=make_report(2), a=make_report(1))), ["b", "a"])
    assert list(frame.loc["AUC"]) == [
        "**0.884** \\[0.844, 0.914] :green[+0.012]",
        "0.872 \\[0.832, 0.902]",
    ]
    assert list(frame.loc["Recall"]) == ["0.735 \\[0.695, 0.765]"] * 2
    assert list(frame.loc["CV AUC"]) == ["0.880 :green[+0.012]", "0.868"]


def test_less_is_better_for_a_loss_and_a_missing_metric_is_a_dash() -> None:
    better = make_report(1).model_copy(
        update={"metrics": {"log_loss": make_report().metrics["brier"]}}
    )
    rows = metric_rows(bare(b=better, a=make_report(1)))
    frame = markdown_frame(rows, ["b", "a"])
    assert list(frame.loc["Log-loss (less is better)"]) == [
        "**0.132** \\[0.092, 0.162] :green[−0.289]",
        "0.421 \\[0.381, 0.451]",
    ]
    assert frame.loc["AUC"].tolist()[0] == "–"


def test_costs_stand_below_the_metrics_where_they_are_known() -> None:
    assert "Wall time (s)" not in dict(metric_rows(bare(a=make_report())))
    cells = row_named(metric_rows(full()), "Wall time (s)")
    assert [cell.text for cell in cells] == ["97.0", "50.0"]


def test_settings_unlike_the_baselines_are_marked_and_come_first() -> None:
    other = make_report(1, family="lr").model_copy(update={"params": {"regParam": 0.01}})
    rows = parameter_rows(bare(b=other, a=make_report(1)))
    assert [cell.text for cell in row_named(rows, "maxDepth")] == ["–", "5"]
    assert [cell.differs for cell in row_named(rows, "maxDepth")] == [True, False]
    assert [cell.text for cell in row_named(rows, "regParam")] == ["0.01", "–"]
    marks = [any(cell.differs for cell in cells) for _, cells in rows]
    assert marks == sorted(marks, reverse=True)
    frame = markdown_frame(rows, ["b", "a"])
    assert list(frame.loc["Family"]) == [
        ":orange-background[**Logistic Regression**]",
        "Gradient-Boosted Trees",
    ]


def test_many_runs_are_rows_and_keep_their_marks() -> None:
    names = [f"r{number}" for number in range(8)]
    other = make_report(0, family="lr").model_copy(update={"params": {"regParam": 0.01}})
    many = bare(**{name: make_report(number) for number, name in enumerate(names[:-1])}, r7=other)
    frame = markdown_frame(*laid_out(metric_rows(many), names))
    assert list(frame.index) == names
    assert [name for name in names if frame.loc[name, "AUC"].startswith("**")] == ["r3"]
    assert ":green[+0.012]" in frame.loc["r1", "AUC"]
    settings = markdown_frame(*laid_out(parameter_rows(many), names))
    assert list(settings["maxDepth"]) == [":orange-background[**5**]"] * 7 + ["–"]
    few = bare(b=make_report(2), a=make_report(1))
    assert laid_out(metric_rows(few), ["b", "a"]) == (metric_rows(few), ["b", "a"])


def test_charts_show_the_baseline_and_the_first_others() -> None:
    many = bare(**{f"r{number}": make_report(number) for number in range(9)})
    assert many.is_cut
    assert list(many.drawn) == ["r0", "r1", "r2", "r3", "r4", "r8"]
    assert "the 5 first of the 8 others" in drawn_sentence(many)
    assert not full().is_cut
    assert full().drawn == full().evaluations


def test_the_baseline_and_the_first_others_are_judged_row_by_row() -> None:
    most = bare(**{f"r{number}": make_report(1) for number in range(MOST_JUDGED)})
    assert list(most.judged) == list(most.evaluations)
    assert judged_sentence(most) == ""
    more = bare(**{f"r{number}": make_report(1) for number in range(MOST_JUDGED + 3)})
    assert list(more.judged) == [*list(most.evaluations)[:-1], more.baseline]
    assert f"the {MOST_JUDGED - 1} first of the {MOST_JUDGED + 2} others" in judged_sentence(more)


def test_files_have_every_run() -> None:
    many = bare(**{f"r{number}": make_report(number) for number in range(9)})
    assert len(list(csv.DictReader(io.StringIO(comparison_csv(many))))) == 9
    page = comparison_html(many, "Titanic", TITANIC.contract.label, NOW)
    assert page.count("<tr><th>r") == 2 * 9
    assert "tables, parallel coordinates and the CSV file have every run" in page
    # Four charts, the parallel axes of all, and six runs' matrices and weights.
    assert page.count("<svg") == 5 + 2 * 6


def test_axes_are_those_in_which_runs_differ() -> None:
    other = make_report(1, family="lr").model_copy(update={"params": {"regParam": 0.01}})
    axes = {axis.name: axis for axis in parallel_axes(bare(b=other, a=make_report(2)))}
    # Each has parameters of its own, so none can be compared along an axis.
    assert list(axes) == ["family", "AUC", "CV AUC", "Precision"]
    assert axes["family"].values == {"b": "LR", "a": "GBT"}
    assert axes["CV AUC"].values["a"] == pytest.approx(0.88)
    costs = {axis.name: axis for axis in parallel_axes(full())}
    assert costs["Wall time (s)"].less_is_better
    assert parallel_axes(bare(a=make_report())) == ()


def test_sentence_names_the_better_run_whichever_it_is() -> None:
    up = verdict_sentence("v4", "v3", found(0.93, -0.004, 0.028))
    assert up.startswith("v4 is better than v3 with probability 0.93.")
    assert "AUC +0.012, 95% interval −0.004 to +0.028, on the same 178 rows" in up
    assert "does not settle it" in up
    down = verdict_sentence("v4", "v3", found(0.001, -0.03, -0.01))
    assert down.startswith("v3 is better than v4 with probability more than 0.99.")
    assert "below zero" in down
    assert "above zero" in verdict_sentence("v4", "v3", found(0.99, 0.01, 0.03))
    assert "alike" in verdict_sentence("v4", "v3", found(0.5, 0, 0))


def test_slices_are_worse_better_or_neither() -> None:
    assert slice_verdict(piece(0.03)) == WORSE
    assert slice_verdict(piece(0.97)) == BETTER
    assert slice_verdict(piece(0.5)) == CANNOT_TELL
    assert slice_verdict(piece(None)) == ONE_CLASS
    assert slice_verdict(piece(0.0, too_small=True)) == TOO_SMALL
    slices = (piece(0.01, value="female"), piece(0.99), piece(0.4), piece(0.4, too_small=True))
    summary = slices_summary(slices)
    assert summary == "1 slice got worse (Sex female), 1 better, 1 too small to tell, of 4 in all."
    frame = slices_frame(slices)
    assert frame["P(better)"].tolist() == [0.01, 0.99, 0.4, 0.4]
    assert frame["Recall"].isna().all()
    assert frame["AUC difference"].dtype == "Float64"


def test_csv_has_a_row_a_run_with_the_verdict() -> None:
    rows = list(csv.DictReader(io.StringIO(comparison_csv(full()))))
    assert [row["run_id"] for row in rows] == ["id-new", "id-old"]
    assert [row["is_baseline"] for row in rows] == ["False", "True"]
    assert float(rows[0]["auc"]) == pytest.approx(0.896)
    assert rows[0]["model.maxDepth"] == "5"
    assert rows[0]["true_positive"] == "53"
    assert float(rows[0]["auc_comparison.difference"]) > 0
    assert rows[1]["auc_comparison.difference"] == ""


def test_csv_of_the_table_has_full_ids_and_no_formulas() -> None:
    run = replace(make_run(1), started_by="=cmd()", error="-1.5")
    summaries = FakeExperiments(FakeRuns([run])).table("titanic")
    text = table_csv(summaries_frame(summaries, NOW), [run.id])
    (row,) = csv.DictReader(io.StringIO(text))
    assert row["run_id"] == run.id
    assert row["Started by"] == "'=cmd()"
    assert row["Why it failed"] == "-1.5"
    assert row["Duration (s)"] == "97.0"
    assert "Age" not in row


def test_report_is_one_page_that_loads_nothing() -> None:
    comparison = full()
    label = TITANIC.contract.label
    page = comparison_html(
        comparison, "Titanic <survival>", label, datetime(2026, 1, 2, tzinfo=UTC)
    )
    assert "Titanic &lt;survival&gt;: 2 runs compared" in page
    assert "2026-01-02 00:00 UTC" in page
    # Four charts of all runs, parallel axes, and for each run a matrix and weights.
    assert page.count("<svg") == 9
    assert "new is better than old with probability" in page
    assert "Slices: new against the baseline" in page
    assert not re.search(r"<script|<link|<img|@import|(src|href)=", page)
    # The names of XML namespaces are no addresses.
    assert set(re.findall(r"https?://[^\s\"'<]+", page)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }


def test_report_of_runs_that_cannot_be_compared_says_why() -> None:
    comparison = replace(
        bare(new=make_report(3), old=make_report(1)),
        verdicts={"new": Incomparable("Other <rows>.")},
    )
    page = comparison_html(comparison, "Titanic", TITANIC.contract.label, NOW)
    assert "new: Other &lt;rows&gt;." in page
    assert "Slices" not in page


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", [5, 4, 3, 2]),
        ("random", [4]),
        ("V3", [3]),
        ("operator gradient", [3]),
        ("auc>=0.884", [3, 2]),
        ("auc<0.87 family=rf", [4]),
        ("maxdepth=5 family!=lr", [4, 3]),
        ("model.maxDepth=5.0", [4, 3, 2]),
        ("status=failed", [5]),
        ("family>a", []),
        ("unheard=1", []),
        ("stopped making", [5]),
        ("auc>", []),
    ],
)
def test_search_finds_words_and_conditions(text: str, wanted: list[int]) -> None:
    runs = [make_run(5, RunStatus.FAILED), *(make_run(number) for number in (4, 3, 2))]
    summaries = FakeExperiments(FakeRuns(runs)).table("titanic")
    shown = [int(one.run.id[8:], 16) for one in matching(summaries, text)]
    assert shown == wanted


def test_metric_over_versions_is_in_order_of_versions() -> None:
    runs = FakeRuns([make_run(3), make_run(2, RunStatus.FAILED), make_run(1)])
    points = version_metrics(FakeExperiments(runs).table("titanic"), "auc")
    assert [point.version for point in points] == [1, 3]
    assert points[0].low == pytest.approx(0.832)
    assert version_metrics(FakeExperiments(runs).table("titanic"), "brier")[0].low is None


def test_details_list_best_candidate_first_and_imputation() -> None:
    report = make_report()
    candidates = candidates_frame(report.candidates)
    assert candidates["Candidate"].tolist() == list(range(11, -1, -1))
    assert candidates["Parameters"][0] == "maxDepth=14, maxIter=15"
    columns = columns_frame(report.columns)
    assert columns["Share missing"].tolist() == ["19.8%", "0.3%", "0.0%"]
    assert columns["A missing value becomes"].tolist() == ["28", "S", "nothing: it must be given"]
    assert isinstance(columns, pd.DataFrame)


def test_candidates_that_were_given_up_come_last_and_say_so() -> None:
    first, *rest = make_report().candidates
    given_up = {"pruned": True, "fold_auc": (0.99,), "mean_auc": 0.99, "standard_error": None}
    table = candidates_frame([first.model_copy(update=given_up), *rest])
    assert table["Candidate"].tolist()[-1] == first.index
    assert table["Folds"].tolist()[-1] == "0.990, then given up"
