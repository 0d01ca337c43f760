"""How a column is spread in two tables, side by side."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import pandas as pd

from app.charts.base import LABEL_GREY, LEGEND_ROW, POSITIVE_TEAL
from core.data.batch_comparison import Share

#: Height of one bin or category, which has a bar for each table.
_ROW = 30
#: What title, axis and legend take of the height.
_AROUND = 150 + 2 * LEGEND_ROW


def distribution_chart(title: str, shares: Sequence[Share], first: str, second: str) -> alt.Chart:
    """A pair of bars for each bin or category: its share of the rows of either table.

    Args:
        title: what is spread, with its unit.
        shares: of each bin or category in both tables.
        first: what the first table is called.
        second: what the second table is called.
    """
    frame = pd.DataFrame(
        [
            {"value": one.name, "table": table, "share": share}
            for one in shares
            for table, share in ((first, one.first), (second, one.second))
        ],
        columns=["value", "table", "share"],
    )
    colour = alt.Color(
        "table:N",
        sort=[first, second],
        scale=alt.Scale(domain=[first, second], range=[LABEL_GREY, POSITIVE_TEAL]),
        legend=alt.Legend(title=None, orient="bottom", columns=1, labelLimit=420),
    )
    bars: alt.Chart = (
        alt.Chart(frame)
        .mark_bar(cornerRadiusEnd=2)
        .encode(
            x=alt.X(
                "share:Q",
                title="Share of the rows",
                axis=alt.Axis(format=".0%", tickCount=5),
            ),
            y=alt.Y(
                "value:N",
                title=None,
                sort=[one.name for one in shares],
                axis=alt.Axis(labelLimit=170, labelOverlap=False),
            ),
            yOffset=alt.YOffset("table:N", sort=[first, second]),
            color=colour,
            tooltip=[
                alt.Tooltip("value", title=title),
                alt.Tooltip("table", title="Table"),
                alt.Tooltip("share", title="Share of the rows", format=".1%"),
            ],
        )
        .properties(title=title, height=_AROUND + _ROW * len(shares))
    )
    return bars
