"""What two versions say of the same traffic: their probabilities, and how far these differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import altair as alt
import pandas as pd

from app.charts.base import LABEL_GREY, NEGATIVE_ORANGE, POSITIVE_TEAL, UNIT

_HEIGHT = 300
#: Bins that are drawn; the notes have finer ones, of which each takes some whole.
_PROBABILITY_BARS, _DIFFERENCE_BARS = 20, 40


def answers_chart(counts: Mapping[str, Sequence[int]], positive: str) -> alt.Chart:
    """How the probabilities of two versions are spread over their rows.

    Args:
        counts: name of a version -> rows in equal bins of probability from 0 to 1, the version
            that is in Production first.
        positive: what the label means whose probability it is.
    """
    rows = [
        (name, low, high, share)
        for name, found in counts.items()
        for low, high, share in _shares(_merged(found, _PROBABILITY_BARS))
    ]
    names = list(counts)
    legend = alt.Legend(title=None, orient="bottom", symbolType="stroke", symbolOpacity=1)
    scale = alt.Scale(domain=names, range=[LABEL_GREY, POSITIVE_TEAL][: len(names)])
    drawn: alt.Chart = (
        alt.Chart(pd.DataFrame(rows, columns=["version", "low", "high", "share"]))
        .mark_line(interpolate="step-after", strokeWidth=2)
        .encode(
            x=alt.X("low:Q", title=f"Probability of the label: {positive}", scale=UNIT),
            y=alt.Y("share:Q", title="Share of its rows", axis=alt.Axis(format=".0%")),
            color=alt.Color("version:N", scale=scale, legend=legend),
            tooltip=[
                alt.Tooltip("version:N", title="Version"),
                alt.Tooltip("low:Q", title="From", format=".2f"),
                alt.Tooltip("high:Q", title="To", format=".2f"),
                alt.Tooltip("share:Q", title="Share of its rows", format=".1%"),
            ],
        )
        .properties(title="Predictions of both versions", height=_HEIGHT)
    )
    return drawn


def differences_chart(counts: Sequence[int], shadow: str, production: str) -> alt.Chart:
    """How far the probability of a shadow lies above or below Production's, row by row.

    Rows are drawn by their square root, so that a few that differ are seen beside thousands that
    do not.

    Args:
        counts: rows in equal bins of the difference from -1 to 1.
        shadow: name of the version whose answers nobody gets.
        production: name of the version that answers.
    """
    merged = _merged(counts, _DIFFERENCE_BARS)
    width = 2.0 / len(merged)
    frame = pd.DataFrame(
        [(-1 + width * at, -1 + width * (at + 1), rows) for at, rows in enumerate(merged)],
        columns=["low", "high", "rows"],
    )
    colour = alt.when(alt.datum["low"] < -width / 2).then(alt.value(NEGATIVE_ORANGE))
    bars: alt.Chart = (
        alt.Chart(frame)
        .mark_bar(binSpacing=1)
        .encode(
            x=alt.X(
                "low:Q",
                bin="binned",
                title=f"Probability by {shadow} minus that by {production}",
                scale=alt.Scale(domain=[-1, 1]),
                axis=alt.Axis(format="+.1f", values=[-1, -0.5, 0, 0.5, 1]),
            ),
            x2="high:Q",
            y=alt.Y(
                "rows:Q",
                title="Rows (square-root scale)",
                scale=alt.Scale(type="sqrt"),
                axis=alt.Axis(tickCount=5, format="~s"),
            ),
            color=colour.otherwise(alt.value(POSITIVE_TEAL)),
            tooltip=[
                alt.Tooltip("low:Q", title="From", format="+.2f"),
                alt.Tooltip("high:Q", title="To", format="+.2f"),
                alt.Tooltip("rows:Q", title="Rows", format=","),
            ],
        )
        .properties(title="Differences of probability", height=_HEIGHT)
    )
    return bars


def _merged(counts: Sequence[int], bars: int) -> list[int]:
    """Neighbouring bins added up, so that ``bars`` are left; fewer where fewer are given."""
    each = max(1, len(counts) // bars)
    return [sum(counts[at : at + each]) for at in range(0, len(counts), each)] or [0]


def _shares(counts: Sequence[int]) -> list[tuple[float, float, float]]:
    """Begin, end and share of all rows of each bin; the last one closes the line at 1."""
    rows, width = sum(counts) or 1, 1.0 / len(counts)
    steps = [(width * at, width * (at + 1), one / rows) for at, one in enumerate(counts)]
    return [*steps, (1.0, 1.0, steps[-1][2])]
