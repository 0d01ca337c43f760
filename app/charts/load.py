"""How the served models are asked and how fast they answer, over the last minutes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import pairwise

import altair as alt
import pandas as pd

from app.charts.base import LABEL_GREY, NEGATIVE_ORANGE, POSITIVE_TEAL, layered
from app.charts.watching import ALERT_RED
from app.components import words
from core.deployment.load_history import LoadPoint

_HEIGHT = 300
_ANSWERED, _ERRORS = "All", "Errors"
_LATENCIES = ("p50", "p95", "p99")
_SHADES = (POSITIVE_TEAL, "#8E6BBF", NEGATIVE_ORANGE)
#: A pause this many times as long as usual between two measurements is drawn as a gap.
_GAP = 4.0

_Row = tuple[datetime, str, float | None]


def rate_chart(points: Sequence[LoadPoint], problem: str) -> alt.LayerChart:
    """Requests of a problem a second, and those of them that ended in an error."""
    rows: list[_Row] = []
    for point in points:
        found = point.problems.get(problem)
        rows.append((point.at, _ANSWERED, found.rate_per_s if found else 0.0))
        rows.append((point.at, _ERRORS, found.errors / found.seconds if found else 0.0))
    colour = _colour((_ANSWERED, _ERRORS), (POSITIVE_TEAL, ALERT_RED))
    return layered(
        _lines(rows, points, "Requests a second", colour), title="Request rate", height=_HEIGHT
    )


def latency_chart(points: Sequence[LoadPoint], problem: str) -> alt.LayerChart:
    """Percentiles of the time to an answer; a gap where there were too few requests."""
    rows: list[_Row] = []
    for point in points:
        found = point.problems.get(problem)
        values = (found.p50_ms, found.p95_ms, found.p99_ms) if found else (None, None, None)
        rows += [(point.at, name, value) for name, value in zip(_LATENCIES, values, strict=True)]
    colour = _colour(_LATENCIES, _SHADES)
    drawn = _lines(rows, points, "Milliseconds", colour)
    return layered(drawn, title="Time to an answer", height=_HEIGHT)


def load_chart(points: Sequence[LoadPoint], each: float | None) -> alt.LayerChart:
    """Requests in flight over all replicas; dashed, what the running replicas aim at.

    Args:
        points: measurements, oldest first.
        each: requests in flight that one replica aims at; ``None`` draws no such line.
    """
    flying, aimed = "In flight", "Target"
    rows: list[_Row] = []
    for point in points:
        rows.append((point.at, flying, point.load.requests))
        if each is not None:
            rows.append((point.at, aimed, None if point.running is None else point.running * each))
    names = (flying, aimed) if each is not None else (flying,)
    colour = _colour(names, (POSITIVE_TEAL, LABEL_GREY)[: len(names)])
    drawn = _lines(rows, points, "Requests", colour, dashed=aimed)
    return layered(drawn, title="Requests in flight", height=_HEIGHT)


def replicas_chart(points: Sequence[LoadPoint]) -> alt.LayerChart:
    """Replicas that run, and how many were asked for."""
    running, target = "Running", "Asked for"
    rows: list[_Row] = []
    for point in points:
        rows.append((point.at, running, _float(point.running)))
        rows.append((point.at, target, _float(point.target)))
    colour = _colour((running, target), (POSITIVE_TEAL, LABEL_GREY))
    drawn = _lines(rows, points, "Replicas", colour, dashed=target, stepped=True)
    return layered(drawn, title="Replicas", height=_HEIGHT)


def _lines(
    rows: Iterable[_Row],
    points: Sequence[LoadPoint],
    unit: str,
    colour: alt.Color,
    *,
    dashed: str = "",
    stepped: bool = False,
) -> alt.Chart:
    frame = pd.DataFrame(rows, columns=["at", "what", "value"])
    frame["part"] = frame["at"].map(_parts([point.at for point in points]))
    # As texts, which a browser reads with their zone.
    frame["clock"] = [f"{words.utc(at):%H:%M:%S}" for at in frame["at"]]
    frame["at"] = [words.utc(at).isoformat() for at in frame["at"]]
    tick = {"tickMinStep": 1, "format": "d"} if stepped else {"tickCount": 4}
    drawn: alt.Chart = (
        alt.Chart(frame)
        .mark_line(strokeWidth=2, interpolate="step-after" if stepped else "linear")
        .encode(
            x=alt.X("at:T", title="UTC", scale=alt.Scale(type="utc"), axis=_time_axis()),
            y=alt.Y("value:Q", title=unit, scale=alt.Scale(zero=True), axis=alt.Axis(**tick)),
            color=colour,
            detail="part:N",
            strokeDash=alt.condition(
                alt.datum["what"] == dashed, alt.value([5, 4]), alt.value([1, 0])
            ),
            tooltip=[
                alt.Tooltip("clock:N", title="UTC"),
                alt.Tooltip("what:N", title="What"),
                alt.Tooltip("value:Q", title=unit, format=",.2f"),
            ],
        )
    )
    return drawn


def _parts(times: Sequence[datetime]) -> dict[datetime, int]:
    """Which unbroken stretch of measurements each belongs to."""
    gaps = [(late - early).total_seconds() for early, late in pairwise(times)]
    usual = sorted(gaps)[len(gaps) // 2] if gaps else 0.0
    part, parts = 0, {}
    for time, gap in zip(times, [0.0, *gaps], strict=True):
        part += gap > _GAP * usual
        parts[time] = part
    return parts


def _time_axis() -> alt.Axis:
    return alt.Axis(format="%H:%M", tickCount=5, labelOverlap=True)


def _colour(names: Sequence[str], colours: Sequence[str]) -> alt.Color:
    legend = alt.Legend(title=None, orient="bottom", symbolType="stroke", symbolOpacity=1)
    scale = alt.Scale(domain=list(names), range=list(colours))
    return alt.Color("what:N", scale=scale, legend=legend)


def _float(value: int | None) -> float | None:
    return None if value is None else float(value)
