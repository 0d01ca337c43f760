from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import altair as alt
import pytest

from app import charts
from core.data.batch_comparison import ColumnComparison, Share
from core.params import load_params
from core.settings import CODE_ROOT
from core.training.bands import curve_bands
from core.training.comparison import Resampling
from core.training.importance import Importance
from core.training.report import Confusion, FeatureWeight
from core.training.usage import ExecutorCourse, Phase, UsagePoint
from tests.unit.app_fakes import (
    make_predictions,
    make_report,
    make_sweep,
    make_sweep_report,
    make_usage,
)

SWEEP = make_sweep_report(make_sweep(1), load_params(CODE_ROOT / "params.yaml"))
TWO = {"v2 · gbt": make_report(2), "v1 · rf": make_report(1)}


def spec_of(chart: alt.Chart | alt.LayerChart) -> dict[str, Any]:
    spec: dict[str, Any] = chart.to_dict()
    return spec


def rows_of(spec: dict[str, Any]) -> list[dict[str, Any]]:
    return [row for rows in spec["datasets"].values() for row in rows]


@pytest.mark.parametrize(
    "draw", [charts.roc_chart, charts.precision_recall_chart, charts.calibration_chart]
)
def test_overlays_hold_every_run_in_one_order(draw: Any) -> None:
    spec = spec_of(draw(TWO))
    colour = spec["layer"][1]["encoding"]["color"]
    names = colour["scale"]["domain"]
    assert [name.split(" (")[0] for name in names] == list(TWO)
    assert {row["run"] for row in rows_of(spec) if "run" in row} == set(names)
    assert spec["title"]
    for axis in ("x", "y"):
        assert spec["layer"][1]["encoding"][axis]["title"]
        assert spec["layer"][1]["encoding"][axis]["scale"]["domain"] == [0, 1]


def test_roc_is_drawn_in_the_order_of_its_points_and_names_its_auc() -> None:
    spec = spec_of(charts.roc_chart(TWO))
    encoding = spec["layer"][1]["encoding"]
    assert encoding["order"]["field"] == "order"
    assert encoding["color"]["scale"]["domain"][0] == "v2 · gbt (0.884)"
    report = TWO["v2 · gbt"]
    drawn = [(r["x"], r["y"]) for r in rows_of(spec) if r.get("run") == "v2 · gbt (0.884)"]
    assert drawn == list(zip(report.roc.x, report.roc.y, strict=True))


def test_precision_recall_floor_is_the_share_of_positives() -> None:
    confusion = Confusion(true_positive=30, false_positive=10, true_negative=50, false_negative=10)
    report = make_report().model_copy(update={"confusion": confusion})
    floor = [
        row
        for row in rows_of(spec_of(charts.precision_recall_chart({"a": report})))
        if "run" not in row
    ]
    assert floor == [{"x": 0, "y": 0.4}, {"x": 1, "y": 0.4}]


def test_metrics_chart_draws_value_and_interval() -> None:
    spec = spec_of(charts.metrics_chart(TWO))
    rows = rows_of(spec)
    assert len(rows) == 2 * len(charts.RATE_METRICS)
    auc = TWO["v1 · rf"].metrics["auc"]
    wanted = {"run": "v1 · rf", "metric": "AUC", **auc.model_dump()}
    assert wanted in rows
    assert spec["layer"][0]["encoding"]["x2"]["field"] == "high"


def test_confusion_cells_count_and_share_of_the_actual_class() -> None:
    confusion = Confusion(true_positive=30, false_positive=0, true_negative=0, false_negative=10)
    spec = spec_of(
        charts.confusion_chart(confusion, positive="survived", negative="died", title="v1")
    )
    texts = {(row["actual"], row["predicted"]): row["text"] for row in rows_of(spec)}
    assert texts == {
        ("survived", "survived"): "30 (75%)",
        ("survived", "died"): "10 (25%)",
        ("died", "survived"): "0 (0%)",
        ("died", "died"): "0 (0%)",
    }
    assert spec["title"] == "v1"


def test_weights_chart_keeps_the_largest_by_size_and_their_sign() -> None:
    weights = tuple(
        FeatureWeight(feature=f"f{index}", weight=(-1) ** index * index / 100)
        for index in range(charts.TOP_WEIGHTS + 5)
    )
    spec = spec_of(charts.weights_chart(weights, kind="standardized coefficient", title="v1"))
    rows = rows_of(spec)
    assert [row["feature"] for row in rows] == [f"f{index}" for index in range(16, 4, -1)]
    assert rows[1]["weight"] == -0.15
    assert spec["encoding"]["x"]["title"] == "Standardized coefficient"


@pytest.mark.parametrize(("threshold", "layers"), [(None, 2), (0.52, 4), (0.95, 4)])
def test_probability_chart_marks_the_threshold_if_it_is_known(
    threshold: float | None, layers: int
) -> None:
    spec = spec_of(charts.probability_chart(0.25, threshold))
    assert len(spec["layer"]) == layers
    assert {"probability": 0.25} in rows_of(spec)
    texts = [row["text"] for row in rows_of(spec) if "text" in row]
    assert set(texts) == (set() if threshold is None else {f"threshold {threshold:.3f}"})


def test_bands_lie_under_their_curves_in_their_colours() -> None:
    bands = {"v1 · rf": curve_bands(make_predictions(1), Resampling(50, 0.95, 1))}
    for draw in (charts.roc_chart, charts.precision_recall_chart, charts.calibration_chart):
        spec = spec_of(draw(TWO, bands))
        area, line = spec["layer"][1], spec["layer"][2]
        assert area["mark"]["type"] == "area"
        assert line["mark"]["type"] == "line"
        assert area["encoding"]["color"] == line["encoding"]["color"]
        drawn = {row["run"].split(" (")[0] for row in rows_of(spec) if "high" in row}
        assert drawn == {"v1 · rf"}


def test_confusion_cells_say_how_many_more_than_the_baseline() -> None:
    now = Confusion(true_positive=30, false_positive=5, true_negative=50, false_negative=10)
    before = Confusion(true_positive=28, false_positive=5, true_negative=51, false_negative=12)
    spec = spec_of(
        charts.confusion_chart(now, positive="yes", negative="no", title="v1", baseline=before)
    )
    changes = {(row["actual"], row["predicted"]): row["change"] for row in rows_of(spec)}
    assert changes == {
        ("yes", "yes"): "+2",
        ("yes", "no"): "-2",
        ("no", "yes"): "±0",
        ("no", "no"): "-1",
    }


def test_parallel_axes_stretch_numbers_order_words_and_turn_losses() -> None:
    axes = (
        charts.Axis("family", {"a": "RF", "b": "GBT", "c": "RF"}),
        charts.Axis("AUC", {"a": 0.8, "b": 0.9, "c": 0.85}),
        charts.Axis("Brier", {"a": 0.1, "b": 0.2, "c": None}, less_is_better=True),
        charts.Axis("depth", {"a": 5, "b": 5, "c": 5}),
    )
    spec = spec_of(charts.parallel_chart(axes, ["a", "b", "c"]))
    rows = [row for row in rows_of(spec) if "run" in row]
    heights = {(row["axis"], row["run"]): row["height"] for row in rows}
    assert [heights["family", run] for run in "abc"] == [1, 0, 1]
    assert [heights["AUC", run] for run in "abc"] == pytest.approx([0, 1, 0.5])
    assert [heights["Brier", run] for run in "abc"] == [1, 0, None]
    assert [heights["depth", run] for run in "abc"] == [0.5] * 3
    ends = {(r["axis"], r["value"]) for r in rows_of(spec) if "value" in r and "run" not in r}
    assert ends == {
        *(("family", "RF"), ("family", "GBT"), ("AUC", "0.8"), ("AUC", "0.9")),
        *(("Brier", "0.1"), ("Brier", "0.2"), ("depth", "5")),
    }


def test_versions_keep_their_order_and_their_intervals() -> None:
    points = [charts.VersionMetric(number, 0.8, 0.7, None) for number in (2, 10)]
    spec = spec_of(charts.versions_chart(points, metric="AUC"))
    assert [row["version"] for row in rows_of(spec)] == ["v2", "v10"]
    assert spec["layer"][1]["encoding"]["x"]["sort"] == ["v2", "v10"]


def test_the_best_so_far_over_time_goes_by_when_candidates_were_done() -> None:
    first, second, third = make_report().candidates[:3]
    done = [
        first.model_copy(update={"mean_auc": 0.86, "done_s": 30.0}),
        second.model_copy(update={"mean_auc": 0.84, "done_s": 12.5}),
        third.model_copy(update={"mean_auc": 0.88, "done_s": 41.0}),
    ]
    spec = spec_of(charts.search_chart(done, over_time=True))
    rows = [(row["done"], row["trial"], row["best"]) for row in rows_of(spec)]
    assert sorted(rows) == [(12.5, 2, 0.84), (30.0, 1, 0.86), (41.0, 3, 0.88)]
    assert spec["layer"][0]["encoding"]["x"]["field"] == "done"
    assert charts.has_times(done)
    # A report of an older release falls back to the order of trials.
    older = [*done[:2], third.model_copy(update={"done_s": None})]
    assert not charts.has_times(older)
    spec = spec_of(charts.search_chart(older, over_time=True))
    assert spec["layer"][0]["encoding"]["x"]["field"] == "trial"


def test_the_search_shows_every_candidate_and_the_best_so_far() -> None:
    first, second, *rest = make_report().candidates
    candidates = [
        first.model_copy(update={"index": 0, "mean_auc": 0.8}),
        second.model_copy(update={"index": 1, "mean_auc": 0.9, "pruned": True}),
        *(
            one.model_copy(update={"index": at, "mean_auc": mean})
            for one, at, mean in zip(rest, (2, 3), (0.85, 0.82), strict=False)
        ),
    ]
    rows = sorted(rows_of(spec_of(charts.search_chart(candidates))), key=lambda row: row["trial"])
    assert [row["trial"] for row in rows] == [1, 2, 3, 4]
    # The second was given up: its mean is of fewer folds and is nobody's best.
    assert [row["best"] for row in rows] == [0.8, 0.8, 0.85, 0.85]
    assert rows[1]["outcome"] == "given up"


def test_a_family_has_one_colour_whichever_others_are_drawn() -> None:
    only_trees = [one for one in make_report().candidates if one.family == "rf"]
    for candidates in (make_report().candidates, only_trees):
        colour = spec_of(charts.search_chart(candidates))["layer"][1]["encoding"]["color"]
        domain = colour["scale"]["domain"]
        assert domain[:3] == ["Logistic Regression", "Random Forest", "Gradient-Boosted Trees"]
    assert colour["legend"]["values"] == ["Random Forest"]
    for draw in (charts.sweep_time_chart, charts.sweep_auc_chart):
        assert spec_of(draw(SWEEP))["layer"][1]["encoding"]["color"]["scale"]["domain"] == domain


def test_time_by_profile_has_a_bar_for_the_mean_and_a_point_for_each_repeat() -> None:
    spec = spec_of(charts.sweep_time_chart(SWEEP))
    bars, points = spec["layer"]
    assert bars["encoding"]["y"]["aggregate"] == "mean"
    # A column of a tooltip that is not aggregated would split the mean by itself.
    grouped = [one for one in bars["encoding"]["tooltip"] if "aggregate" not in one]
    assert {one["field"] for one in grouped} == {"profile", "family"}
    assert points["encoding"]["y"]["field"] == "seconds"
    assert len(rows_of(spec)) == len(SWEEP.measurements) == 18
    assert bars["encoding"]["x"]["sort"] == ["1c-1g", "2c-2g", "4c-4g (oversubscribed)"]
    assert bars["encoding"]["y"]["title"] == "Training time (s)"


def test_auc_by_profile_reaches_one_standard_error_to_both_sides() -> None:
    bare = SWEEP.measurements[0].model_copy(update={"cv_auc_standard_error": None})
    report = SWEEP.model_copy(update={"measurements": (bare, *SWEEP.measurements[1:])})
    rows = rows_of(spec_of(charts.sweep_auc_chart(report)))
    assert (rows[0]["low"], rows[0]["high"]) == (rows[0]["auc"], rows[0]["auc"])
    assert rows[1]["high"] - rows[1]["auc"] == pytest.approx(0.008)
    assert rows[1]["auc"] - rows[1]["low"] == pytest.approx(0.008)


@pytest.mark.parametrize("by", ["seconds", "core_seconds"])
def test_frontier_holds_what_nothing_beats(by: charts.Price) -> None:
    spec = spec_of(charts.frontier_chart(SWEEP, by))
    rows = rows_of(spec)
    assert len(rows) == 9
    best = [row for row in rows if row["frontier"]]
    for row in best:
        beaten_by = [
            other for other in rows if other["auc"] > row["auc"] and other["price"] <= row["price"]
        ]
        assert not beaten_by
    assert [row["family"] for row in sorted(best, key=lambda row: row["price"])] == [
        *("Logistic Regression", "Random Forest", "Gradient-Boosted Trees"),
    ]
    line, dots = spec["layer"]
    assert line["transform"]
    assert line["mark"]["interpolate"] == "step-after"
    assert dots["encoding"]["shape"]["scale"]["domain"][-1] == "4c-4g (oversubscribed)"
    assert dots["encoding"]["x"]["title"] == charts.PRICES[by]


@pytest.mark.parametrize(
    ("by", "title"), [("iterations", "Boosting iterations"), ("seconds", "Training time (s)")]
)
def test_boosting_has_a_line_a_depth(by: Any, title: str) -> None:
    spec = spec_of(charts.boosting_chart(SWEEP.boosting[::-1], by))
    encoding = spec["layer"][0]["encoding"]
    assert encoding["x"] == {"field": by, "title": title, "type": "quantitative"}
    assert encoding["color"]["scale"]["domain"] == [3, 5, 7]
    assert len(set(encoding["color"]["scale"]["range"])) == 3
    rows = rows_of(spec)
    assert [(row["max_depth"], row["iterations"]) for row in rows[:2]] == [(3, 1), (3, 5)]


def test_each_executor_has_a_line_that_names_its_node() -> None:
    usage = make_usage()
    courses = tuple(
        ExecutorCourse(
            node=f"10.0.0.{n} (0123abcd)",
            pid=n,
            cores=tuple(n + point.at_s for point in usage.points),
            rss_mb=tuple(1024.0 * n for _ in usage.points),
        )
        for n in (1, 2)
    )
    usage = usage.model_copy(update={"executors": courses})
    rows = [r for r in rows_of(spec_of(charts.executors_cpu_chart(usage))) if "executor" in r]
    assert {row["executor"] for row in rows} == {
        "1, on 10.0.0.1 (0123abcd)",
        "2, on 10.0.0.2 (0123abcd)",
    }
    assert len(rows) == 2 * len(usage.points)
    assert rows[0]["value"] == 1 + usage.points[0].at_s
    memory = rows_of(spec_of(charts.executors_memory_chart(usage)))
    assert {row["value"] for row in memory if "executor" in row} == {1.0, 2.0}
    many = {
        "points": usage.points * 20,
        "executors": tuple(
            one.model_copy(update={"cores": one.cores * 20, "rss_mb": one.rss_mb * 20})
            for one in courses
        ),
    }
    long = rows_of(spec_of(charts.executors_cpu_chart(usage.model_copy(update=many))))
    assert len([row for row in long if "executor" in row]) == 2 * 400


def test_usage_over_time_stacks_driver_and_executors_under_named_phases() -> None:
    usage = make_usage(cores=2)
    spec = spec_of(charts.cpu_chart(usage))
    assert spec["layer"][-2]["encoding"]["y"]["stack"] == "zero"
    assert spec["layer"][-2]["encoding"]["x"]["title"] == "Seconds since the start"
    assert {"value": 2.0} in rows_of(spec)
    assert [r["text"] for r in rows_of(spec) if "shade" in r] == ["preprocess", "train"]
    memory = rows_of(spec_of(charts.memory_chart(usage)))
    first = [row["value"] for row in memory if row.get("at") == usage.points[0].at_s]
    assert first == [usage.points[0].executor_rss_mb / 1024, usage.points[0].driver_rss_mb / 1024]
    # The axis reaches the profile's cores even where nobody used them.
    idle = tuple(p.model_copy(update={"executor_cores": 0.1}) for p in usage.points)
    wide = usage.model_copy(update={"points": idle, "cores": 8})
    assert spec_of(charts.cpu_chart(wide))["layer"][-2]["encoding"]["y"]["scale"]["domain"][1] > 8


def test_a_phase_that_is_too_short_keeps_its_name_for_the_tooltip() -> None:
    phases = (
        Phase(name="a phase of many words", begin_s=0, end_s=1),
        Phase(name="train", begin_s=1, end_s=24),
    )
    rows = rows_of(spec_of(charts.cpu_chart(make_usage().model_copy(update={"phases": phases}))))
    drawn = [(row["name"], row["text"]) for row in rows if "shade" in row]
    assert drawn == [("a phase of many words", ""), ("train", "train")]
    bare = make_usage().model_copy(update={"phases": (), "points": ()})
    assert spec_of(charts.memory_chart(bare))["layer"]


def test_hours_of_samples_are_drawn_as_few_and_keep_peak_and_mean() -> None:
    points = tuple(
        UsagePoint(
            at_s=float(second),
            driver_cores=0.5,
            executor_cores=float(second % 2),
            driver_rss_mb=100.0,
            executor_rss_mb=900.0 if second == 5000 else 300.0,
        )
        for second in range(1, 7201)
    )
    usage = make_usage().model_copy(update={"points": points})
    rows = [row for row in rows_of(spec_of(charts.memory_chart(usage))) if "part" in row]
    assert len(rows) <= 800
    assert max(row["value"] for row in rows) == 900 / 1024
    cores = [r["value"] for r in rows_of(spec_of(charts.cpu_chart(usage))) if r.get("part")]
    assert sum(cores) / len(cores) == pytest.approx(0.5, abs=0.01)


def test_importance_draws_what_could_be_told_with_its_unit() -> None:
    found = (
        Importance(None, 30, (("family", 0.4),)),
        Importance("gbt", 20, (("maxDepth", 0.7), ("stepSize", 0.1))),
        Importance("lr", 4, (), "Too few."),
    )
    spec = spec_of(charts.importance_chart(found))
    rows = rows_of(spec)
    assert [(row["parameter"], row["text"]) for row in rows] == [
        ("family · all families", "40%"),
        ("maxDepth · GBT", "70%"),
        ("stepSize · GBT", "10%"),
    ]
    assert spec["layer"][0]["encoding"]["x"]["title"] == "Share of the variance of mean AUC"
    assert spec["title"]


def test_a_distribution_has_a_bar_a_bin_and_table_with_shares_and_unit() -> None:
    column = ColumnComparison(
        "Fare", "number", "pounds", 0, 1, (Share("0 to 8", 0.6, 0.2), Share("8 to 512", 0.4, 0.8))
    )
    drawn = charts.distribution_chart(column.title, column.shares, "before", "now").to_dict()
    (rows,) = drawn["datasets"].values()
    assert [(row["value"], row["table"], row["share"]) for row in rows] == [
        ("0 to 8", "before", 0.6),
        ("0 to 8", "now", 0.2),
        ("8 to 512", "before", 0.4),
        ("8 to 512", "now", 0.8),
    ]
    assert drawn["title"] == "Fare (pounds)"
    assert drawn["encoding"]["x"]["title"] == "Share of the rows"
    assert drawn["encoding"]["color"]["scale"]["domain"] == ["before", "now"]


def make_period(version: int, rule: str, day: int, *, goes_on: bool = False) -> charts.Period:
    begin = datetime(2026, 1, day, 12, 30, tzinfo=UTC)
    return charts.Period(
        version, begin, begin + timedelta(days=1), rule, "alice", "because", goes_on
    )


def test_timeline_has_a_bar_a_period_coloured_by_rule() -> None:
    periods = [
        make_period(1, "rollback", 3, goes_on=True),
        make_period(2, "approval", 2),
        make_period(1, "bootstrap", 1),
    ]
    spec = spec_of(charts.timeline_chart(periods))
    rows = rows_of(spec)
    assert [(row["version"], row["rule"]) for row in rows] == [
        ("v1", "rollback"),
        ("v2", "approval"),
        ("v1", "bootstrap"),
    ]
    assert [row["to"] for row in rows] == ["now", "2026-01-03 12:30 UTC", "2026-01-02 12:30 UTC"]
    encoding = spec["layer"][0]["encoding"]
    assert encoding["y"]["sort"] == ["v2", "v1"]
    assert encoding["x"]["scale"]["type"] == "utc"
    # A rule keeps its colour whichever others are drawn.
    assert "automatic rollback" in encoding["color"]["scale"]["domain"]
    assert encoding["color"]["legend"]["values"] == ["bootstrap", "approval", "rollback"]


def test_gains_are_drawn_with_intervals_over_the_line_of_no_difference() -> None:
    gain = charts.Gain("holdout", 0.012, -0.003, 0.027)
    spec = spec_of(charts.gains_chart([gain], metric="AUC"))
    rows = rows_of(spec)
    assert {"where": "holdout", "value": 0.012, "low": -0.003, "high": 0.027} in rows
    assert {"value": 0.0} in rows
    assert spec["layer"][1]["encoding"]["x"]["title"] == "AUC, candidate minus incumbent"


def test_answers_of_two_versions_are_shares_of_their_own_rows() -> None:
    counts = {"v3": [0] * 20 + [300] + [0] * 79, "v4": [0] * 20 + [30] + [0] * 78 + [10]}
    spec = spec_of(charts.answers_chart(counts, "survived"))
    rows = rows_of(spec)
    shares = {row["version"]: row["share"] for row in rows if row["low"] == pytest.approx(0.2)}
    assert shares == {"v3": 1.0, "v4": 0.75}
    assert max(row["high"] for row in rows) == 1.0
    assert spec["encoding"]["color"]["scale"]["domain"] == ["v3", "v4"]
    assert spec["encoding"]["x"]["title"] == "Probability of the label: survived"
    assert spec["title"]


def test_differences_keep_their_sign_and_every_row() -> None:
    counts = [0] * 80
    counts[0], counts[40], counts[79] = 3, 500, 2
    spec = spec_of(charts.differences_chart(counts, "v4", "v3"))
    drawn = {round(row["low"], 2): row["rows"] for row in rows_of(spec) if row["rows"]}
    assert drawn == {-1.0: 3, 0.0: 500, 0.95: 2}
    assert spec["encoding"]["x"]["title"] == "Probability by v4 minus that by v3"
    assert spec["encoding"]["y"]["scale"]["type"] == "sqrt"


@pytest.mark.parametrize("counts", [(), (0,) * 80])
def test_no_difference_at_all_draws_an_empty_chart(counts: tuple[int, ...]) -> None:
    rows = rows_of(spec_of(charts.differences_chart(counts, "v4", "v3")))
    assert sum(row["rows"] for row in rows) == 0
