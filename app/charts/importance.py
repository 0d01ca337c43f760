"""How much each parameter of a search mattered."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import pandas as pd

from app.charts.base import LABEL_GREY, family_colour, layered
from app.components import words
from core.training.importance import Importance

_BAR = 28
#: What title and axis take of the height.
_AROUND = 118
_OF_ALL = "all families"


def importance_chart(found: Sequence[Importance]) -> alt.LayerChart:
    """A bar a parameter, the families among one another first; only what could be told."""
    frame = pd.DataFrame(
        [
            {
                "parameter": f"{name} · {_whose(one)}",
                "family": words.family_name(one.family) if one.family else _OF_ALL,
                "share": share,
                "text": f"{share:.0%}",
                "candidates": one.candidates,
            }
            for one in found
            for name, share in one.shares
        ],
        columns=["parameter", "family", "share", "text", "candidates"],
    )
    base = alt.Chart(frame).encode(
        x=alt.X(
            "share:Q",
            title="Share of the variance of mean AUC",
            scale=alt.Scale(domain=[0, 1]),
            axis=alt.Axis(format=".0%", tickCount=5),
        ),
        y=alt.Y(
            "parameter:N",
            title=None,
            sort=list(frame["parameter"]),
            axis=alt.Axis(labelLimit=240, labelOverlap=False),
        ),
        tooltip=[
            alt.Tooltip("parameter", title="Parameter"),
            alt.Tooltip("family", title="Among"),
            alt.Tooltip("share", title="Share", format=".1%"),
            alt.Tooltip("candidates", title="Candidates"),
        ],
    )
    whole = base.transform_filter(alt.datum["family"] == _OF_ALL).mark_bar(
        color=LABEL_GREY, cornerRadiusEnd=3
    )
    families = [words.family_name(one.family) for one in found if one.family and one.shares]
    parts = (
        base.transform_filter(alt.datum["family"] != _OF_ALL)
        .mark_bar(cornerRadiusEnd=3)
        .encode(color=family_colour(families, legend=False))
    )
    figures = base.mark_text(align="left", dx=5, color=LABEL_GREY).encode(text="text:N")
    title = "What mattered in the search"
    return layered(whole, parts, figures, title=title, height=_AROUND + _BAR * len(frame))


def _whose(one: Importance) -> str:
    return words.family_short(one.family) if one.family else _OF_ALL
