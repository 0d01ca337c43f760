"""What all charts have in common: frames, colours and the parts they are layered from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

import altair as alt
import pandas as pd

from app.components import words
from core.training.report import CalibrationBin, Estimate, EvaluationReport

#: Each report under the name its legend shall have, in the order of drawing; a run keeps
#: its colour over all charts of a page.
Evaluations = Mapping[str, EvaluationReport]


class Measured(Protocol):
    """What has metrics with intervals, such as a report or the evidence of a model."""

    @property
    def metrics(self) -> Mapping[str, Estimate]:
        """Metric -> value with its interval."""


class Calibrated(Protocol):
    """What has bins of predicted probability."""

    @property
    def calibration(self) -> tuple[CalibrationBin, ...]:
        """The bins, from small probabilities to large ones."""


#: Readable on white and on near-black alike.
REFERENCE_GREY = "#8795A1"
LABEL_GREY = "#71808C"
POSITIVE_TEAL = "#1595A0"
NEGATIVE_ORANGE = "#D9772B"
#: Who spends: Spark's executors and its driver.
EXECUTOR_PURPLE = "#8E6BBF"
DRIVER_GREY = "#8795A1"
#: Heights are those of the whole drawing: title, axes and legend take their part.
HEIGHT = 340
LEGEND_ROW = 20
FRAME = 90
UNIT = alt.Scale(domain=[0, 1])


def layered(*charts: alt.Chart, title: str, height: int) -> alt.LayerChart:
    """Puts charts on one another, the first one at the bottom."""
    # Unlike alt.layer(), the class itself never turns into a facet, and says so in its type.
    layers: alt.LayerChart = alt.LayerChart(layer=list(charts)).properties(height=height)
    return layers.properties(title=title) if title else layers


def run_colour(names: list[str], *, legend: bool = True) -> alt.Color:
    """One colour a run, in the order of ``names``."""
    below = alt.Legend(
        title=None,
        orient="bottom",
        columns=1,
        labelLimit=420,
        symbolType="circle",
        # Of layers that share a legend, the first one's faintness would be taken.
        symbolOpacity=1,
    )
    scale = alt.Scale(domain=names)
    return alt.Color("run:N", scale=scale, legend=below if legend else None)


def family_colour(families: Iterable[str], *, legend: bool = True) -> alt.Color:
    """One colour a model family, the same whichever others are drawn; for column ``family``.

    Args:
        families: names as ``words.family_name`` gives them, those to be drawn.
        legend: whether to draw one, below the chart.
    """
    present = list(dict.fromkeys(families))
    known = list(words.FAMILIES.values())
    strangers = [name for name in present if name not in known]
    order = [name for name in [*known, *strangers] if name in present]
    # In half of a narrow window there is no room for two names in a row.
    below = alt.Legend(
        title=None,
        orient="bottom",
        values=order,
        columns=1,
        symbolType="circle",
        symbolSize=70,
        symbolOpacity=1,
    )
    scale = alt.Scale(domain=[*known, *strangers])
    return alt.Color("family:N", scale=scale, legend=below if legend else None)


def height_for(evaluations: Mapping[str, object]) -> int:
    """Height of a chart whose legend has a row for every run."""
    return HEIGHT + LEGEND_ROW * len(evaluations)


def segment(start: tuple[float, float], end: tuple[float, float]) -> alt.Chart:
    """A dashed line to read a curve against."""
    frame = pd.DataFrame({"x": [start[0], end[0]], "y": [start[1], end[1]]})
    line: alt.Chart = (
        alt.Chart(frame)
        .mark_line(strokeDash=[4, 4], strokeWidth=1, color=REFERENCE_GREY)
        .encode(x="x:Q", y="y:Q")
    )
    return line
