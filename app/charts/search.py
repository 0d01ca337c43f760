"""The course of a search: every candidate, and the best that was known after it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import altair as alt
import pandas as pd

from app.charts.base import HEIGHT, LABEL_GREY, family_colour, layered
from app.components import words
from core.training.report import Candidate

_GIVEN_UP = "given up"
_TRIED = "all folds"


def has_times(candidates: Sequence[Candidate]) -> bool:
    """Whether it is known of every candidate when it was done."""
    return bool(candidates) and all(one.done_s is not None for one in candidates)


def search_chart(candidates: Sequence[Candidate], *, over_time: bool = False) -> alt.LayerChart:
    """Mean AUC of each candidate, in order of trial, under the best so far.

    ``over_time`` puts each where it was done, in seconds since the search began, if that is
    known of all. A candidate that was given up has seen only some folds; its mean does not
    compete.
    """
    over_time = over_time and has_times(candidates)
    ordered = sorted(
        candidates, key=lambda one: ((one.done_s or 0.0) if over_time else 0.0, one.index)
    )
    best = accumulate((0.0 if one.pruned else one.mean_auc for one in ordered), max)
    frame = pd.DataFrame(
        {
            "trial": [one.index + 1 for one in ordered],
            "done": pd.array([one.done_s for one in ordered], dtype="Float64"),
            "mean": [one.mean_auc for one in ordered],
            "best": [value or None for value in best],
            "family": [words.family_name(one.family) for one in ordered],
            "outcome": [_GIVEN_UP if one.pruned else _TRIED for one in ordered],
        }
    )
    x = alt.X("trial:Q", title="Candidate, in order of trial", axis=alt.Axis(tickMinStep=1))
    if over_time:
        x = alt.X("done:Q", title="Seconds since the search began, when it was done")
    base = alt.Chart(frame).encode(x=x)
    line = base.mark_line(interpolate="step-after", color=LABEL_GREY, strokeWidth=1.5)
    dots = base.mark_point(size=60, filled=True, opacity=1).encode(
        y=_height("mean"),
        color=family_colour(frame["family"]),
        shape=alt.Shape(
            "outcome:N",
            scale=alt.Scale(domain=[_TRIED, _GIVEN_UP], range=["circle", "cross"]),
            legend=alt.Legend(title=None, orient="bottom")
            if any(one.pruned for one in ordered)
            else None,
        ),
        tooltip=[
            alt.Tooltip("trial", title="Candidate"),
            alt.Tooltip("family", title="Family"),
            alt.Tooltip("mean", title="Mean AUC", format=".4f"),
            alt.Tooltip("best", title="Best so far", format=".4f"),
            alt.Tooltip("outcome", title="Fitted on"),
            *([alt.Tooltip("done", title="Done after (s)", format=".1f")] if over_time else []),
        ],
    )
    steps = line.encode(y=_height("best"))
    title = "The search: each candidate and the best so far"
    return layered(steps, dots, title=title, height=HEIGHT)


def _height(column: str) -> alt.Y:
    scale = alt.Scale(zero=False, padding=12)
    return alt.Y(f"{column}:Q", title="Mean AUC over the folds", scale=scale)
