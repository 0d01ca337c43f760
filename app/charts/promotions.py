"""Charts of promotions: what was Production when, and a candidate against the incumbent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import altair as alt
import pandas as pd

from app.charts.base import FRAME, NEGATIVE_ORANGE, POSITIVE_TEAL, REFERENCE_GREY, layered
from app.components import words

#: By what rule a version came to serve, in the order of the legend.
RULE_COLOURS = {
    "bootstrap": REFERENCE_GREY,
    "approval": POSITIVE_TEAL,
    "rollback": NEGATIVE_ORANGE,
    "automatic rollback": "#D64545",
}
_ROW = 26
_LEGEND = 30
#: The day where one begins, else the time of 24 hours, as everywhere in the panel.
_CLOCK = (
    "utchours(datum.value) + utcminutes(datum.value) == 0 ? utcFormat(datum.value, '%d %b') : "
    "utcFormat(datum.value, seconds(datum.value) == 0 ? '%H:%M' : '%H:%M:%S')"
)


@dataclass(frozen=True)
class Period:
    """From ``begin`` to ``end`` a version was Production; ``rule`` brought it there."""

    version: int
    begin: datetime
    end: datetime
    rule: str
    decided_by: str
    reason: str
    #: It still is; ``end`` is the time of drawing.
    goes_on: bool


@dataclass(frozen=True)
class Gain:
    """A difference, candidate minus incumbent, with its interval, and where it was measured."""

    where: str
    value: float
    low: float
    high: float


def timeline_chart(periods: Sequence[Period]) -> alt.LayerChart:
    """One bar a period, one row a version with the newest on top; colour says the rule."""
    frame = pd.DataFrame([_period_row(one) for one in periods])
    order = [f"v{number}" for number in sorted({one.version for one in periods}, reverse=True)]
    begin, end = "begin:T", "end:T"
    colour = alt.Color(
        "rule:N",
        scale=alt.Scale(domain=list(RULE_COLOURS), range=list(RULE_COLOURS.values())),
        legend=alt.Legend(
            title=None,
            orient="bottom",
            values=[rule for rule in RULE_COLOURS if rule in set(frame["rule"])],
            symbolType="square",
            symbolOpacity=1,
        ),
    )
    base = alt.Chart(frame).encode(
        x=alt.X(
            begin,
            title="Time (UTC)",
            scale=alt.Scale(type="utc"),
            axis=alt.Axis(labelExpr=_CLOCK, labelOverlap=True),
        ),
        y=alt.Y("version:N", title=None, sort=order),
        color=colour,
        tooltip=[
            alt.Tooltip("version", title="Version"),
            alt.Tooltip("from", title="From"),
            alt.Tooltip("to", title="To"),
            alt.Tooltip("rule", title="Rule"),
            alt.Tooltip("by", title="Decided by"),
            alt.Tooltip("reason", title="Reason"),
        ],
    )
    bars = base.mark_bar(height=14, cornerRadius=3).encode(x2=end)
    # A period of minutes among months would be too narrow to see.
    starts = base.mark_tick(height=20, thickness=3)
    return layered(bars, starts, title="", height=FRAME + _LEGEND + _ROW * len(order))


def _period_row(one: Period) -> Mapping[str, object]:
    return {
        "version": f"v{one.version}",
        "begin": words.utc(one.begin).isoformat(),
        "end": words.utc(one.end).isoformat(),
        "from": words.clock(one.begin),
        "to": "now" if one.goes_on else words.clock(one.end),
        "rule": one.rule,
        "by": one.decided_by,
        "reason": one.reason,
    }


def gains_chart(gains: Sequence[Gain], *, metric: str) -> alt.LayerChart:
    """Differences with their intervals over the line of no difference."""
    frame = pd.DataFrame(
        [{"where": g.where, "value": g.value, "low": g.low, "high": g.high} for g in gains],
        columns=["where", "value", "low", "high"],
    )
    title = f"{metric}, candidate minus incumbent"
    base = alt.Chart(frame).encode(
        y=alt.Y("where:N", title=None, sort=None, axis=alt.Axis(labelLimit=210)),
        color=alt.value(POSITIVE_TEAL),
        tooltip=[
            alt.Tooltip("where", title="Rows of"),
            *(
                alt.Tooltip(name, title=name.capitalize(), format="+.4f")
                for name in ("value", "low", "high")
            ),
        ],
    )
    axis = alt.Axis(format="+.3f", tickCount=5)
    spread = base.mark_rule(strokeWidth=2).encode(
        x=alt.X("low:Q", title=title, axis=axis), x2="high:Q"
    )
    dots = base.mark_point(filled=True, size=80, opacity=1).encode(x=alt.X("value:Q", axis=axis))
    nothing = (
        alt.Chart(pd.DataFrame({"value": [0.0]}))
        .mark_rule(strokeDash=[4, 4], color=REFERENCE_GREY)
        .encode(x="value:Q")
    )
    return layered(nothing, spread, dots, title="", height=FRAME + 34 * len(gains))
