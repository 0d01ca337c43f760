"""Charts of what models decide and why: metrics, confusion, weights, one probability."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import altair as alt
import pandas as pd

from app.charts.base import (
    FRAME,
    LABEL_GREY,
    NEGATIVE_ORANGE,
    POSITIVE_TEAL,
    REFERENCE_GREY,
    Measured,
    layered,
    run_colour,
)
from core.training.report import Confusion, FeatureWeight

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
#: From the smallest share to the largest; dark enough for white figures in either theme.
_CELL_SHADES = {"right": ["#4F6F75", "#0B6B74"], "wrong": ["#75665C", "#B4540A"]}
_ESTIMATE = ("value", "low", "high")
_BAR_HEIGHT = 116


def metrics_chart(evaluations: Mapping[str, Measured]) -> alt.LayerChart:
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
        color=run_colour(list(evaluations), legend=False),
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
    height = FRAME + len(RATE_METRICS) * max(32, 14 * len(evaluations) + 10)
    return layered(spread, dots, title="Metrics with their intervals", height=height)


def confusion_chart(
    confusion: Confusion,
    *,
    positive: str,
    negative: str,
    title: str,
    baseline: Confusion | None = None,
) -> alt.LayerChart:
    """Counts at the decision threshold, below them how many more than the baseline's.

    Shading is the share of the actual class.
    """
    frame = _cells(confusion, positive, negative)
    if baseline is not None:
        before = _cells(baseline, positive, negative)["rows"]
        frame["change"] = [_signed(rows) for rows in frame["rows"] - before]
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
    layers = [*boxes, numbers]
    if baseline is not None:
        change = base.mark_text(fontSize=12, color="white", dy=19).encode(text="change:N")
        layers.append(change)
    # Each verdict has a scale of its own; shared, the second would take the first one's.
    drawing = layered(*layers, title=title, height=250)
    resolved: alt.LayerChart = drawing.resolve_scale(color="independent")
    return resolved


def _cells(confusion: Confusion, positive: str, negative: str) -> pd.DataFrame:
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
    frame = pd.DataFrame(cells, columns=["actual", "predicted", "rows", "verdict"])
    frame["share"] = [
        rows / totals[actual] if totals[actual] else 0.0 for actual, _, rows, _ in cells
    ]
    frame["text"] = [
        f"{rows:,} ({share:.0%})" for rows, share in zip(frame["rows"], frame["share"], strict=True)
    ]
    return frame


def _signed(change: int) -> str:
    return f"{change:+,}" if change else "±0"


def weights_chart(weights: tuple[FeatureWeight, ...], *, kind: str, title: str) -> alt.Chart:
    """The largest weights of a model, by size; sign is shown by side and colour."""
    largest = sorted(weights, key=lambda one: abs(one.weight), reverse=True)[:TOP_WEIGHTS]
    frame = pd.DataFrame(
        [{"feature": one.feature, "weight": one.weight} for one in largest],
        columns=["feature", "weight"],
    )
    colour = alt.when(alt.datum["weight"] < 0).then(alt.value(NEGATIVE_ORANGE))
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
            color=colour.otherwise(alt.value(POSITIVE_TEAL)),
            tooltip=[
                alt.Tooltip("feature", title="Feature"),
                alt.Tooltip("weight", title=kind.capitalize(), format=".4f"),
            ],
        )
        .properties(title=title, height=FRAME + 24 * len(largest))
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
        color=REFERENCE_GREY, opacity=0.22, size=26, cornerRadius=5
    )
    above = threshold is None or probability >= threshold
    bar = alt.Chart(pd.DataFrame({"probability": [probability]})).mark_bar(
        color=POSITIVE_TEAL if above else NEGATIVE_ORANGE, size=26, cornerRadius=5
    )
    layers: list[alt.Chart] = [track.encode(x=x), bar.encode(x=x)]
    if threshold is not None:
        at = alt.Chart(
            pd.DataFrame({"probability": [threshold], "text": [f"threshold {threshold:.3f}"]})
        ).encode(x=x)
        layers.append(at.mark_rule(strokeWidth=2.5, color=LABEL_GREY))
        align: Literal["left", "right"] = "right" if threshold > 0.7 else "left"
        offset = -6 if align == "right" else 6
        layers.append(
            at.mark_text(align=align, dx=offset, dy=-30, color=LABEL_GREY).encode(text="text:N")
        )
    return layered(*layers, title="", height=_BAR_HEIGHT)
