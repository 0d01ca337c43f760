"""What a check saw over chunks: values with their thresholds, performance with its band."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import altair as alt
import pandas as pd

from app.charts.base import (
    LABEL_GREY,
    NEGATIVE_ORANGE,
    POSITIVE_TEAL,
    REFERENCE_GREY,
    layered,
)
from core.monitoring.report import Chunk
from core.monitoring.report_performance import MetricPerformance

_HEIGHT = 300
_THEN, _NOW = "Reference", "What arrived"
_ESTIMATED, _REALIZED = "Estimated", "Realized"
#: Beyond a threshold; the same red as the panel's errors, readable in light and dark.
ALERT_RED = "#D64545"


@dataclass(frozen=True)
class Course:
    """One value a chunk, in the order of the chunks; None where it could not be computed."""

    values: Sequence[float | None]
    alerts: Sequence[bool]
    lower: float | None
    upper: float | None


def course_chart(chunks: Sequence[Chunk], course: Course, title: str, unit: str) -> alt.LayerChart:
    """A value over the chunks, its thresholds dashed, chunks beyond them in red.

    Chunks of the reference are shaded. Those without a value leave a gap.
    """
    frame = _chunk_frame(chunks)
    frame["value"] = [_or_nan(value) for value in _padded(course.values, len(chunks))]
    frame["beyond"] = [bool(alert) for alert in [*course.alerts, *[False] * len(chunks)]][
        : len(chunks)
    ]
    base = alt.Chart(frame).encode(x=_chunk_axis(), y=_value_axis(unit), tooltip=_tooltip(unit))
    line = base.mark_line(color=POSITIVE_TEAL)
    points = base.mark_point(filled=True, size=70, opacity=1).encode(
        color=alt.condition(alt.datum["beyond"], alt.value(ALERT_RED), alt.value(POSITIVE_TEAL)),
        shape=alt.condition(alt.datum["beyond"], alt.value("triangle-up"), alt.value("circle")),
    )
    layers = [*_reference_band(chunks), *_rules(course.lower, course.upper), line, points]
    return layered(*layers, title=title, height=_HEIGHT)


def performance_chart(
    chunks: Sequence[Chunk], performance: MetricPerformance, metric: str
) -> alt.LayerChart:
    """Estimated performance with its confidence band, what was realized drawn over it."""
    layers = [
        *_reference_band(chunks),
        *_rules(performance.lower_threshold, performance.upper_threshold),
    ]
    for name, course, colour in (
        (_ESTIMATED, performance.estimated, POSITIVE_TEAL),
        (_REALIZED, performance.realized, NEGATIVE_ORANGE),
    ):
        if course is None:
            continue
        frame = _chunk_frame(chunks).assign(
            value=[_or_nan(one) for one in _padded(course.chunk_values, len(chunks))],
            low=[_or_nan(one) for one in _padded(course.chunk_lows, len(chunks))],
            high=[_or_nan(one) for one in _padded(course.chunk_highs, len(chunks))],
            kind=name,
        )
        base = alt.Chart(frame).encode(x=_chunk_axis(), tooltip=_tooltip(metric))
        if name == _ESTIMATED:
            band = base.mark_area(color=colour, opacity=0.2)
            layers.append(band.encode(y=alt.Y("low:Q", title=metric), y2="high:Q"))
        if course.value is not None and not any(course.chunk_values):
            # Labels enough for the whole, too few for any chunk.
            layers.append(_whole(chunks, course.value, colour, name))
        drawn = base.encode(y=_value_axis(metric), color=_kind_colour())
        layers += [drawn.mark_line(), drawn.mark_point(filled=True, size=60, opacity=1)]
    return layered(*layers, title=f"{metric}, estimated and realized", height=_HEIGHT)


def _whole(chunks: Sequence[Chunk], value: float, colour: str, name: str) -> alt.Chart:
    """A value of all chunks that arrived, as a line over them."""
    begin = sum(one.period == "reference" for one in chunks) + 0.5
    frame = pd.DataFrame({"from": [begin], "to": [len(chunks) + 0.5], "value": [value]})
    rule = alt.Chart(frame).mark_rule(color=colour, strokeWidth=3)
    tooltip = [alt.Tooltip("value:Q", title=f"{name}, all chunks together", format=".4f")]
    line: alt.Chart = rule.encode(x="from:Q", x2="to:Q", y="value:Q", tooltip=tooltip)
    return line


def _kind_colour() -> alt.Color:
    return alt.Color(
        "kind:N",
        scale=alt.Scale(domain=[_ESTIMATED, _REALIZED], range=[POSITIVE_TEAL, NEGATIVE_ORANGE]),
        legend=alt.Legend(title=None, orient="bottom", symbolOpacity=1),
    )


def _chunk_frame(chunks: Sequence[Chunk]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "chunk": list(range(1, len(chunks) + 1)),
            "label": [one.label for one in chunks],
            "period": [_THEN if one.period == "reference" else _NOW for one in chunks],
            "rows": [one.rows for one in chunks],
        }
    )


def _chunk_axis() -> alt.X:
    title = "Chunk in order of time (reference shaded)"
    scale = alt.Scale(nice=False, padding=12)
    return alt.X("chunk:Q", title=title, scale=scale, axis=alt.Axis(tickMinStep=1, format="d"))


def _value_axis(unit: str) -> alt.Y:
    return alt.Y("value:Q", title=unit, scale=alt.Scale(zero=False))


def _tooltip(unit: str) -> list[alt.Tooltip]:
    return [
        alt.Tooltip("label:N", title="Chunk"),
        alt.Tooltip("period:N", title="Side"),
        alt.Tooltip("rows:Q", title="Rows", format=","),
        alt.Tooltip("value:Q", title=unit, format=".4f"),
    ]


def _reference_band(chunks: Sequence[Chunk]) -> list[alt.Chart]:
    number = sum(one.period == "reference" for one in chunks)
    if number in (0, len(chunks)):
        return []
    frame = pd.DataFrame({"from": [0.5], "to": [number + 0.5]})
    band = alt.Chart(frame).mark_rect(color=REFERENCE_GREY, opacity=0.14)
    return [band.encode(x=alt.X("from:Q"), x2="to:Q")]


def _rules(*thresholds: float | None) -> list[alt.Chart]:
    given = [one for one in thresholds if one is not None]
    if not given:
        return []
    frame = pd.DataFrame({"value": given})
    rule = alt.Chart(frame).mark_rule(strokeDash=[4, 4], color=LABEL_GREY)
    return [rule.encode(y="value:Q", tooltip=[alt.Tooltip("value:Q", title="Threshold")])]


def _padded(values: Sequence[float | None], length: int) -> list[float | None]:
    return [*values, *[None] * (length - len(values))][:length]


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else value
