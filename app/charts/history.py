"""Charts over many runs: parallel coordinates, and a metric over the registered versions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import altair as alt
import pandas as pd

from app.charts.base import HEIGHT, LABEL_GREY, REFERENCE_GREY, layered, run_colour

_PARALLEL_HEIGHT = 320
_MIDDLE = 0.5
#: With more runs a legend says less than the words under the pointer, and lines grow faint.
_MOST_NAMED = 6
_SPREAD = ("value", "low", "high")
_AXIS = alt.Axis(labelAngle=-30, labelLimit=150, labelOverlap=False, domain=False, ticks=False)


@dataclass(frozen=True)
class Axis:
    """One upright axis of parallel coordinates: each run's value, None where it has none."""

    name: str
    values: Mapping[str, float | str | None]
    #: The smallest value is drawn at the top, so that up is better on every metric.
    less_is_better: bool = False


@dataclass(frozen=True)
class VersionMetric:
    """A metric of a registered version, with the ends of its interval where known."""

    version: int
    value: float
    low: float | None
    high: float | None


def parallel_chart(axes: Sequence[Axis], runs: Sequence[str]) -> alt.LayerChart:
    """A line a run over all axes, each stretched from its smallest to its largest value.

    Any number of runs; many are drawn faintly and named under the pointer alone.
    """
    few = len(runs) <= _MOST_NAMED
    names = [axis.name for axis in axes]
    placed = [_positions(axis) for axis in axes]
    frame = pd.DataFrame(
        [
            {"run": run, "axis": axis.name, "height": where.get(run), "value": _text(value)}
            for axis, where in zip(axes, placed, strict=True)
            for run, value in axis.values.items()
        ],
        columns=["run", "axis", "height", "value"],
    )
    x = alt.X("axis:N", sort=names, title=None, axis=_AXIS, scale=alt.Scale(padding=0.4))
    y = alt.Y("height:Q", axis=None, scale=alt.Scale(domain=[-0.14, 1.12]))
    base = alt.Chart(frame).encode(
        x=x,
        y=y,
        color=run_colour(list(runs), legend=few),
        tooltip=[
            alt.Tooltip("run", title="Run"),
            alt.Tooltip("axis", title="What"),
            alt.Tooltip("value", title="Value"),
        ],
    )
    poles = alt.Chart(pd.DataFrame({"axis": names, "height": 0.0, "top": 1.0})).encode(
        x=x, y=y, y2="top:Q"
    )
    ends = alt.Chart(_ends(axes, placed)).encode(x=x, y=y, text="value:N")
    upper = ends.transform_filter(alt.datum["height"] > 0).mark_text(color=LABEL_GREY, dy=-12)
    lower = ends.transform_filter(alt.datum["height"] <= 0).mark_text(color=LABEL_GREY, dy=14)
    return layered(
        poles.mark_rule(color=REFERENCE_GREY, opacity=0.6),
        base.mark_line(strokeWidth=2, opacity=1 if few else 0.5),
        base.mark_point(filled=True, size=60, opacity=1 if few else 0.7),
        upper,
        lower,
        title="",
        height=_PARALLEL_HEIGHT + (20 * len(runs) if few else 0),
    )


def _positions(axis: Axis) -> dict[str, float]:
    known = {run: value for run, value in axis.values.items() if value is not None}
    numbers = {run: value for run, value in known.items() if not isinstance(value, str)}
    if len(numbers) < len(known):
        order = sorted({str(value) for value in known.values()})
        numbers = {run: float(order.index(str(value))) for run, value in known.items()}
    low, high = min(numbers.values(), default=0.0), max(numbers.values(), default=0.0)
    if low == high:
        return dict.fromkeys(numbers, _MIDDLE)
    heights = {run: (value - low) / (high - low) for run, value in numbers.items()}
    if axis.less_is_better:
        return {run: 1 - height for run, height in heights.items()}
    return heights


def _ends(axes: Sequence[Axis], placed: Sequence[Mapping[str, float]]) -> pd.DataFrame:
    """The values to write on an axis: all names of a category, both ends of a number."""
    rows = {}
    for axis, where in zip(axes, placed, strict=True):
        for run, height in where.items():
            value = axis.values[run]
            if isinstance(value, str) or height in (0.0, 1.0) or len(set(where.values())) == 1:
                rows[axis.name, height] = _text(value)
    return pd.DataFrame(
        [{"axis": name, "height": height, "value": text} for (name, height), text in rows.items()],
        columns=["axis", "height", "value"],
    )


def _text(value: float | str | None) -> str:
    if value is None:
        return "–"
    return value if isinstance(value, str) else f"{value:.4g}"


def versions_chart(points: Sequence[VersionMetric], *, metric: str) -> alt.LayerChart:
    """A metric over the registered versions, with intervals where they are known."""
    frame = pd.DataFrame(
        [
            {"version": f"v{p.version}", "value": p.value, "low": p.low, "high": p.high}
            for p in points
        ],
        columns=["version", "value", "low", "high"],
    )
    order = [f"v{point.version}" for point in points]
    base = alt.Chart(frame).encode(
        x=alt.X("version:O", sort=order, title="Version", axis=alt.Axis(labelAngle=0)),
        tooltip=[
            alt.Tooltip("version", title="Version"),
            *(alt.Tooltip(f"{one}:Q", title=one.capitalize(), format=".4f") for one in _SPREAD),
        ],
    )
    y = alt.Y("value:Q", title=metric, scale=alt.Scale(zero=False, padding=12))
    spread = base.mark_rule(strokeWidth=2, opacity=0.5).encode(
        y=alt.Y("low:Q", title=metric, scale=alt.Scale(zero=False)), y2="high:Q"
    )
    line = base.mark_line(strokeWidth=1.5).encode(y=y)
    dots = base.mark_point(filled=True, size=70, opacity=1).encode(y=y)
    return layered(spread, line, dots, title="", height=HEIGHT)
