"""CPU and memory of a piece of work over time, with its phases marked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import fmean

import altair as alt
import pandas as pd

from app.charts.base import (
    DRIVER_GREY,
    EXECUTOR_PURPLE,
    LABEL_GREY,
    LEGEND_ROW,
    REFERENCE_GREY,
    layered,
)
from core.training.usage import Phase, Usage, UsagePoint

_USAGE_HEIGHT = 320
_PARTS = ("Executors", "Driver")
#: Moments drawn at most; more are drawn together, so that an hour draws as fast as a minute.
MOST_POINTS = 400
#: Letters that fit over the whole width of a chart in a narrow window.
_LETTERS = 44
_MIB_PER_GIB = 1024
_HEADROOM = 1.25


def cpu_chart(usage: Usage) -> alt.LayerChart:
    """Cores in use by Spark's driver and executors; dashed, the cores of the profile."""
    points = thinned(usage.points)
    frame = _frame(
        points,
        [point.executor_cores for point in points],
        [point.driver_cores for point in points],
    )
    rule = (
        alt.Chart(pd.DataFrame({"value": [float(usage.cores)]}))
        .mark_rule(strokeDash=[4, 4], color=LABEL_GREY)
        .encode(y=alt.Y("value:Q", title="Cores in use"))
    )
    layers = [*_phases(usage), _areas(frame, "Cores in use", usage.cores), rule]
    return layered(*layers, title="CPU over time", height=_USAGE_HEIGHT)


def memory_chart(usage: Usage) -> alt.LayerChart:
    """Resident memory of Spark's driver and executors, in GiB."""
    points = thinned(usage.points)
    frame = _frame(
        points,
        [point.executor_rss_mb / _MIB_PER_GIB for point in points],
        [point.driver_rss_mb / _MIB_PER_GIB for point in points],
    )
    layers = [*_phases(usage), _areas(frame, "Memory held (GiB)")]
    return layered(*layers, title="Memory over time", height=_USAGE_HEIGHT)


def executors_cpu_chart(usage: Usage) -> alt.LayerChart:
    """Cores in use by each executor."""
    courses = [one.cores for one in usage.executors]
    return _each(usage, courses, fmean, "Cores in use", "CPU of each executor")


def executors_memory_chart(usage: Usage) -> alt.LayerChart:
    """Resident memory of each executor, in GiB."""
    courses = [[value / _MIB_PER_GIB for value in one.rss_mb] for one in usage.executors]
    return _each(usage, courses, max, "Memory held (GiB)", "Memory of each executor")


def executor_name(usage: Usage, index: int) -> str:
    """An executor as a legend and MLflow's metrics number it, with its node."""
    return f"{index + 1}, on {usage.executors[index].node}"


def _each(
    usage: Usage,
    courses: Sequence[Sequence[float]],
    join: Callable[[Sequence[float]], float],
    axis: str,
    title: str,
) -> alt.LayerChart:
    """A line an executor; of long work, neighbours are joined as ``thinned`` does."""
    size = max(1, -(-len(usage.points) // MOST_POINTS))
    ends = [usage.points[i : i + size][-1].at_s for i in range(0, len(usage.points), size)]
    frame = pd.DataFrame(
        [
            {"at": at, "executor": executor_name(usage, index), "value": join(part)}
            for index, course in enumerate(courses)
            for at, part in zip(
                ends, (course[i : i + size] for i in range(0, len(course), size)), strict=True
            )
        ],
        columns=["at", "executor", "value"],
    )
    legend = alt.Legend(title="Executor", orient="bottom", columns=1, labelLimit=420)
    lines = (
        alt.Chart(frame)
        .mark_line(strokeWidth=1.5)
        .encode(
            x=alt.X("at:Q", title="Seconds since the start"),
            y=alt.Y("value:Q", title=axis),
            color=alt.Color("executor:N", legend=legend, sort=None),
            tooltip=[
                alt.Tooltip("at:Q", title="Seconds", format=".1f"),
                alt.Tooltip("executor:N", title="Executor"),
                alt.Tooltip("value:Q", title=axis, format=".2f"),
            ],
        )
    )
    height = _USAGE_HEIGHT + LEGEND_ROW * len(courses)
    return layered(*_phases(usage), lines, title=title, height=height)


def thinned(points: Sequence[UsagePoint], most: int = MOST_POINTS) -> tuple[UsagePoint, ...]:
    """At most ``most`` points: means of neighbours for cores, their peak for memory."""
    if len(points) <= most:
        return tuple(points)
    size = -(-len(points) // most)
    groups = [points[start : start + size] for start in range(0, len(points), size)]
    return tuple(
        UsagePoint(
            at_s=group[-1].at_s,
            driver_cores=fmean(one.driver_cores for one in group),
            executor_cores=fmean(one.executor_cores for one in group),
            driver_rss_mb=max(one.driver_rss_mb for one in group),
            executor_rss_mb=max(one.executor_rss_mb for one in group),
        )
        for group in groups
    )


def _end_of(usage: Usage) -> float:
    ends = [phase.end_s for phase in usage.phases] + [point.at_s for point in usage.points]
    return max(ends, default=usage.wall_s)


def _frame(
    points: Sequence[UsagePoint], executors: Sequence[float], driver: Sequence[float]
) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"at": point.at_s, "part": part, "value": value}
            for point, values in zip(points, zip(executors, driver, strict=True), strict=True)
            for part, value in zip(_PARTS, values, strict=True)
        ],
        columns=["at", "part", "value"],
    )


def _areas(frame: pd.DataFrame, title: str, reach: float = 0.0) -> alt.Chart:
    """Driver under executors; the axis reaches ``reach`` at least."""
    # Room for the names of the phases above the highest point.
    sums = frame.groupby("at")["value"].sum()
    top = _HEADROOM * max([reach, *sums])
    scale = alt.Scale(domain=[0, top], nice=False) if top else alt.Scale()
    colour = alt.Color(
        "part:N",
        scale=alt.Scale(domain=list(_PARTS), range=[EXECUTOR_PURPLE, DRIVER_GREY]),
        legend=alt.Legend(title=None, orient="bottom", symbolOpacity=1),
    )
    areas: alt.Chart = (
        alt.Chart(frame)
        .mark_area(opacity=0.75, line=False)
        .encode(
            x=alt.X("at:Q", title="Seconds since the start"),
            y=alt.Y("value:Q", title=title, stack="zero", scale=scale),
            color=colour,
            order=alt.Order("part:N", sort="descending"),
            tooltip=[
                alt.Tooltip("at:Q", title="Seconds", format=".1f"),
                alt.Tooltip("part:N", title="Who"),
                alt.Tooltip("value:Q", title=title, format=".2f"),
            ],
        )
    )
    return areas


def _phases(usage: Usage) -> list[alt.Chart]:
    """Every second phase shaded, a line where one begins, its name where it fits."""
    if not usage.phases:
        return []
    end = _end_of(usage)
    frame = pd.DataFrame(
        [
            {
                "begin": phase.begin_s,
                "end": phase.end_s,
                "name": phase.name,
                "text": phase.name if _fits(phase, end) else "",
                "shade": 0.16 if index % 2 else 0.0,
            }
            for index, phase in enumerate(usage.phases)
        ]
    )
    base = alt.Chart(frame).encode(
        x=alt.X("begin:Q", title="Seconds since the start"),
        tooltip=[
            alt.Tooltip("name", title="Phase"),
            alt.Tooltip("begin", title="From (s)", format=".1f"),
            alt.Tooltip("end", title="To (s)", format=".1f"),
        ],
    )
    opacity = alt.Opacity("shade:Q", scale=None, legend=None)
    bands = base.mark_rect(color=REFERENCE_GREY).encode(x2="end:Q", opacity=opacity)
    starts = base.mark_rule(color=REFERENCE_GREY, opacity=0.7)
    names = base.mark_text(align="left", baseline="top", dx=4, dy=3, color=LABEL_GREY).encode(
        y=alt.value(0), text="text:N"
    )
    return [bands, starts, names]


def _fits(phase: Phase, end: float) -> bool:
    share = (phase.end_s - phase.begin_s) / end if end else 0.0
    return share * _LETTERS >= len(phase.name)
