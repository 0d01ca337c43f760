from __future__ import annotations

from typing import Any

import altair as alt
import pytest

from app import charts
from core.training.bands import curve_bands
from core.training.comparison import Resampling
from core.training.report import Confusion, FeatureWeight
from tests.unit.app_fakes import make_predictions, make_report

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
