"""Data to Altair charts. No Streamlit, no colours of its own where a theme can choose.

``Evaluations`` names each report as its legend shall call it, in the order of drawing;
a run keeps its colour over all charts of a page.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import altair as alt
import pandas as pd

from core.training.report import Confusion, Curve, EvaluationReport, FeatureWeight

Evaluations = Mapping[str, EvaluationReport]

#: Metrics drawn on one axis from 0 to 1, of which more is better.
RATE_METRICS = {
    "auc": "AUC",
    "accuracy": "Accuracy",
    "precision": "Precision",
    "recall": "Recall",
    "f1": "F1",
}
#: Weights drawn at most, the largest ones.
TOP_WEIGHTS = 12
#: Readable on white and on near-black alike.
_REFERENCE_GREY = "#8795A1"
_LABEL_GREY = "#71808C"
_POSITIVE_TEAL = "#1595A0"
_NEGATIVE_ORANGE = "#D9772B"
#: From the smallest share to the largest; dark enough for white figures in either theme.
_CELL_SHADES = {"right": ["#4F6F75", "#0B6B74"], "wrong": ["#75665C", "#B4540A"]}
#: Heights are those of the whole drawing: title, axes and legend take their part.
_HEIGHT = 340
_ESTIMATE = ("value", "low", "high")
_LEGEND_ROW = 20
_FRAME = 90
_BAR_HEIGHT = 116
_UNIT = alt.Scale(domain=[0, 1])


def roc_chart(evaluations: Evaluations) -> alt.LayerChart:
    """ROC curves over the diagonal of a coin toss."""
    curves = {
        f"{name} (AUC {report.metrics['auc'].value:.3f})": report.roc
        for name, report in evaluations.items()
    }
    diagonal = _segment((0, 0), (1, 1))
    lines = _curves(curves, "False positive rate", "True positive rate")
    return _layered(diagonal, lines, title="ROC curve", height=_height(evaluations))


def precision_recall_chart(evaluations: Evaluations) -> alt.LayerChart:
    """Precision over recall, with the share of positives as the floor."""
    curves = {name: report.precision_recall for name, report in evaluations.items()}
    shares = [_positive_share(report.confusion) for report in evaluations.values()]
    floor = sum(shares) / len(shares)
    lines = _curves(curves, "Recall", "Precision")
    return _layered(
        _segment((0, floor), (1, floor)), lines, title="Precision–recall curve", height=_HEIGHT
    )


def calibration_chart(evaluations: Evaluations) -> alt.LayerChart:
    """Observed rate over predicted probability; on the diagonal a model means what it says."""
    frame = pd.DataFrame(
        [
            {"run": name, **one.model_dump()}
            for name, report in evaluations.items()
            for one in report.calibration
        ],
        columns=["run", "mean_predicted", "observed_rate", "rows"],
    )
    points = (
        alt.Chart(frame)
        .mark_line(point=alt.OverlayMarkDef(size=55, filled=True), strokeWidth=1.5)
        .encode(
            x=alt.X("mean_predicted:Q", title="Mean predicted probability", scale=_UNIT),
            y=alt.Y("observed_rate:Q", title="Observed rate", scale=_UNIT),
            color=_run_colour(list(evaluations)),
            tooltip=[
                alt.Tooltip("run", title="Run"),
                alt.Tooltip("mean_predicted", title="Predicted", format=".3f"),
                alt.Tooltip("observed_rate", title="Observed", format=".3f"),
                alt.Tooltip("rows", title="Rows", format=","),
            ],
        )
    )
    return _layered(
        _segment((0, 0), (1, 1)), points, title="Calibration", height=_height(evaluations)
    )


def metrics_chart(evaluations: Evaluations) -> alt.LayerChart:
    """The rates of every run with their intervals, one row a metric."""
    frame = pd.DataFrame(
        [
            {"run": name, "metric": title, **report.metrics[metric].model_dump()}
            for metric, title in RATE_METRICS.items()
            for name, report in evaluations.items()
            if metric in report.metrics
        ],
        columns=["run", "metric", *_ESTIMATE],
    )
    scale = alt.Scale(zero=False, padding=12)
    base = alt.Chart(frame).encode(
        y=alt.Y("metric:N", title=None, sort=list(RATE_METRICS.values())),
        yOffset=alt.YOffset("run:N", sort=list(evaluations)),
        color=_run_colour(list(evaluations), legend=False),
        tooltip=[
            alt.Tooltip("run", title="Run"),
            alt.Tooltip("metric", title="Metric"),
            *(alt.Tooltip(one, title=one.capitalize(), format=".3f") for one in _ESTIMATE),
        ],
    )
    spread = base.mark_rule(strokeWidth=2).encode(
        x=alt.X("low:Q", title="Value on the holdout", scale=scale), x2="high:Q"
    )
    dots = base.mark_point(filled=True, size=70, opacity=1).encode(x=alt.X("value:Q", scale=scale))
    height = _FRAME + len(RATE_METRICS) * max(32, 14 * len(evaluations) + 10)
    return _layered(spread, dots, title="Metrics with their intervals", height=height)


def confusion_chart(
    confusion: Confusion, *, positive: str, negative: str, title: str
) -> alt.LayerChart:
    """Counts at the decision threshold; shading is the share of the actual class."""
    cells = [
        (positive, positive, confusion.true_positive, "right"),
        (positive, negative, confusion.false_negative, "wrong"),
        (negative, positive, confusion.false_positive, "wrong"),
        (negative, negative, confusion.true_negative, "right"),
    ]
    totals = {
        positive: confusion.true_positive + confusion.false_negative,
        negative: confusion.false_positive + confusion.true_negative,
    }
    frame = pd.DataFrame(
        [
            {
                "actual": actual,
                "predicted": predicted,
                "rows": rows,
                "share": rows / totals[actual] if totals[actual] else 0.0,
                "verdict": verdict,
            }
            for actual, predicted, rows, verdict in cells
        ]
    )
    frame["text"] = [
        f"{rows:,} ({share:.0%})" for rows, share in zip(frame["rows"], frame["share"], strict=True)
    ]
    order = [positive, negative]
    base = alt.Chart(frame).encode(
        x=alt.X("predicted:N", title="Predicted", sort=order, axis=alt.Axis(labelAngle=0)),
        y=alt.Y("actual:N", title="Actual", sort=order),
        tooltip=[
            alt.Tooltip("actual", title="Actual"),
            alt.Tooltip("predicted", title="Predicted"),
            alt.Tooltip("rows", title="Rows", format=","),
            alt.Tooltip("share", title="Share of the actual class", format=".1%"),
        ],
    )
    boxes = [
        base.transform_filter(alt.datum["verdict"] == verdict)
        .mark_rect(cornerRadius=4)
        .encode(
            color=alt.Color("share:Q", scale=alt.Scale(domain=[0, 1], range=shades), legend=None)
        )
        for verdict, shades in _CELL_SHADES.items()
    ]
    numbers = base.mark_text(fontSize=14, fontWeight="bold", color="white").encode(text="text:N")
    # Each verdict has a scale of its own; shared, the second would take the first one's.
    drawing = _layered(*boxes, numbers, title=title, height=250)
    resolved: alt.LayerChart = drawing.resolve_scale(color="independent")
    return resolved


def weights_chart(weights: tuple[FeatureWeight, ...], *, kind: str, title: str) -> alt.Chart:
    """The largest weights of a model, by size; sign is shown by side and colour."""
    largest = sorted(weights, key=lambda one: abs(one.weight), reverse=True)[:TOP_WEIGHTS]
    frame = pd.DataFrame(
        [{"feature": one.feature, "weight": one.weight} for one in largest],
        columns=["feature", "weight"],
    )
    colour = alt.when(alt.datum["weight"] < 0).then(alt.value(_NEGATIVE_ORANGE))
    bars: alt.Chart = (
        alt.Chart(frame)
        .mark_bar(cornerRadiusEnd=3)
        .encode(
            x=alt.X("weight:Q", title=kind.capitalize()),
            y=alt.Y(
                "feature:N",
                title=None,
                sort=[one.feature for one in largest],
                axis=alt.Axis(labelLimit=170, labelOverlap=False),
            ),
            color=colour.otherwise(alt.value(_POSITIVE_TEAL)),
            tooltip=[
                alt.Tooltip("feature", title="Feature"),
                alt.Tooltip("weight", title=kind.capitalize(), format=".4f"),
            ],
        )
        .properties(title=title, height=_FRAME + 24 * len(largest))
    )
    return bars


def probability_chart(probability: float, threshold: float | None) -> alt.LayerChart:
    """One probability on a bar from 0 to 1, with the decision threshold if known."""
    axis = alt.Axis(format=".0%", values=[0, 0.25, 0.5, 0.75, 1], grid=False)
    x = alt.X(
        "probability:Q",
        title=None,
        scale=alt.Scale(domain=[0, 1]),
        axis=axis,
    )
    track = alt.Chart(pd.DataFrame({"probability": [1.0]})).mark_bar(
        color=_REFERENCE_GREY, opacity=0.22, size=26, cornerRadius=5
    )
    above = threshold is None or probability >= threshold
    bar = alt.Chart(pd.DataFrame({"probability": [probability]})).mark_bar(
        color=_POSITIVE_TEAL if above else _NEGATIVE_ORANGE, size=26, cornerRadius=5
    )
    layers: list[alt.Chart] = [track.encode(x=x), bar.encode(x=x)]
    if threshold is not None:
        at = alt.Chart(
            pd.DataFrame({"probability": [threshold], "text": [f"threshold {threshold:.3f}"]})
        ).encode(x=x)
        layers.append(at.mark_rule(strokeWidth=2.5, color=_LABEL_GREY))
        align: Literal["left", "right"] = "right" if threshold > 0.7 else "left"
        offset = -6 if align == "right" else 6
        layers.append(
            at.mark_text(align=align, dx=offset, dy=-30, color=_LABEL_GREY).encode(text="text:N")
        )
    return _layered(*layers, title="", height=_BAR_HEIGHT)


def _curves(curves: Mapping[str, Curve], x_title: str, y_title: str) -> alt.Chart:
    frame = pd.DataFrame(
        [
            {"run": name, "x": x, "y": y, "order": index}
            for name, curve in curves.items()
            for index, (x, y) in enumerate(zip(curve.x, curve.y, strict=True))
        ],
        columns=["run", "x", "y", "order"],
    )
    lines: alt.Chart = (
        alt.Chart(frame)
        .mark_line(strokeWidth=2)
        .encode(
            x=alt.X("x:Q", title=x_title, scale=_UNIT),
            y=alt.Y("y:Q", title=y_title, scale=_UNIT),
            color=_run_colour(list(curves)),
            # Without it lines are joined by x, which folds vertical steps.
            order="order:Q",
            tooltip=[
                alt.Tooltip("run", title="Run"),
                alt.Tooltip("x", title=x_title, format=".3f"),
                alt.Tooltip("y", title=y_title, format=".3f"),
            ],
        )
    )
    return lines


def _layered(*charts: alt.Chart, title: str, height: int) -> alt.LayerChart:
    # Unlike alt.layer(), the class itself never turns into a facet, and says so in its type.
    layers: alt.LayerChart = alt.LayerChart(layer=list(charts)).properties(height=height)
    return layers.properties(title=title) if title else layers


def _run_colour(names: list[str], *, legend: bool = True) -> alt.Color:
    below = alt.Legend(title=None, orient="bottom", columns=1, labelLimit=420, symbolType="circle")
    scale = alt.Scale(domain=names)
    return alt.Color("run:N", scale=scale, legend=below if legend else None)


def _height(evaluations: Evaluations) -> int:
    return _HEIGHT + _LEGEND_ROW * len(evaluations)


def _segment(start: tuple[float, float], end: tuple[float, float]) -> alt.Chart:
    frame = pd.DataFrame({"x": [start[0], end[0]], "y": [start[1], end[1]]})
    line: alt.Chart = (
        alt.Chart(frame)
        .mark_line(strokeDash=[4, 4], strokeWidth=1, color=_REFERENCE_GREY)
        .encode(x="x:Q", y="y:Q")
    )
    return line


def _positive_share(confusion: Confusion) -> float:
    positives = confusion.true_positive + confusion.false_negative
    rows = positives + confusion.false_positive + confusion.true_negative
    return positives / rows if rows else 0.0
