"""What a sweep over resource profiles measured: time, AUC, and what each second buys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import altair as alt
import pandas as pd

from app.charts.base import HEIGHT, LABEL_GREY, LEGEND_ROW, family_colour, layered
from app.components import words
from core.params import Profile
from core.training.advice import efficiency_frontier
from core.training.profile_means import profile_means
from core.training.sweep_report import BoostingPoint, SweepReport

#: Boosted trees' depths, from shallow to deep: an order, and none of the families' colours.
_DEPTH_COLOURS = ["#7C8CF0", "#9A6FD0", "#B8609F", "#D0637A", "#D98A4B", "#B8A03A"]
_SHAPES = ["circle", "square", "triangle-up", "diamond", "cross", "triangle-down"]
_PROFILE_AXIS = alt.Axis(
    labelAngle=0, labelExpr="split(replace(datum.label, ' (', '|('), '|')", labelLimit=130
)
#: The legend has a row for every family, and the axis two for every profile.
_PROFILE_HEIGHT = HEIGHT + 4 * LEGEND_ROW
_AUC_TITLE = "Cross-validated AUC"

Price = Literal["seconds", "core_seconds"]
#: What a point on the frontier's x axis cost.
PRICES: dict[Price, str] = {
    "seconds": "Training time (s)",
    "core_seconds": "Core time (core-seconds)",
}


def sweep_time_chart(report: SweepReport) -> alt.LayerChart:
    """Training time by profile: a bar a family for the mean, a point for each repeat."""
    frame = _frame(report)
    base = _by_profile(frame)
    height = alt.Y("mean(seconds):Q", title="Training time (s)")
    bars = base.mark_bar(opacity=0.45, cornerRadiusEnd=3).encode(
        y=height,
        # Every column of a tooltip would be one more by which to group.
        tooltip=[
            alt.Tooltip("profile:N", title="Profile"),
            alt.Tooltip("family:N", title="Family"),
            alt.Tooltip("mean(seconds):Q", title="Mean seconds", format=".1f"),
        ],
    )
    points = base.mark_point(filled=True, size=55, opacity=1).encode(
        y=alt.Y("seconds:Q", title="Training time (s)")
    )
    return layered(bars, points, title="Training time by profile", height=_PROFILE_HEIGHT)


def sweep_auc_chart(report: SweepReport) -> alt.LayerChart:
    """Cross-validated AUC by profile, with the standard error over the folds."""
    frame = _frame(report)
    base = _by_profile(frame)
    scale = alt.Scale(zero=False, padding=12)
    spread = base.mark_rule(strokeWidth=2, opacity=0.5).encode(
        y=alt.Y("low:Q", title=_AUC_TITLE, scale=scale), y2="high:Q"
    )
    points = base.mark_point(filled=True, size=55, opacity=1).encode(
        y=alt.Y("auc:Q", title=_AUC_TITLE, scale=scale)
    )
    return layered(
        spread, points, title="AUC by profile, ± one standard error", height=_PROFILE_HEIGHT
    )


def frontier_chart(report: SweepReport, by: Price) -> alt.LayerChart:
    """AUC against what it cost; on the line lies what nothing beats in both."""
    frontier = efficiency_frontier(report, by)
    frame = pd.DataFrame(
        [
            {
                "profile": words.profile_label(one.profile, report.physical_cores),
                "family": words.family_name(one.family),
                "price": one.seconds if by == "seconds" else one.core_seconds,
                "auc": one.cv_auc,
                "frontier": one in frontier,
                "where": "on the frontier" if one in frontier else "beaten",
            }
            for one in sorted(profile_means(report), key=lambda one: _by_size(one.profile))
        ],
        columns=["profile", "family", "price", "auc", "frontier", "where"],
    )
    title = PRICES[by]
    profiles = list(dict.fromkeys(frame["profile"]))
    base = alt.Chart(frame).encode(
        x=alt.X("price:Q", title=title, scale=alt.Scale(zero=False, padding=16)),
        y=alt.Y("auc:Q", title=_AUC_TITLE, scale=alt.Scale(zero=False, padding=16)),
    )
    line = base.transform_filter(alt.datum["frontier"]).mark_line(
        interpolate="step-after", color=LABEL_GREY, strokeDash=[5, 4], strokeWidth=1.5
    )
    above = alt.Legend(
        title=None,
        orient="top",
        columns=1,
        symbolSize=70,
        symbolOpacity=1,
        symbolFillColor=LABEL_GREY,
        symbolStrokeColor=LABEL_GREY,
    )
    dots = base.mark_point(filled=True, size=90).encode(
        color=family_colour(frame["family"]),
        shape=alt.Shape(
            "profile:N",
            scale=alt.Scale(domain=profiles, range=_shapes(len(profiles))),
            legend=above,
        ),
        opacity=alt.when(alt.datum["frontier"]).then(alt.value(1)).otherwise(alt.value(0.45)),
        tooltip=[
            alt.Tooltip("profile", title="Profile"),
            alt.Tooltip("family", title="Family"),
            alt.Tooltip("price", title=title, format=",.1f"),
            alt.Tooltip("auc", title=_AUC_TITLE, format=".4f"),
            alt.Tooltip("where", title="Place"),
        ],
    )
    heading = f"AUC against {title.partition(' (')[0].lower()}"
    return layered(line, dots, title=heading, height=HEIGHT + LEGEND_ROW * (len(profiles) + 2))


def boosting_chart(
    points: Sequence[BoostingPoint], by: Literal["iterations", "seconds"]
) -> alt.LayerChart:
    """AUC of boosted trees as they grow, a line for each depth."""
    titles = {"iterations": "Boosting iterations", "seconds": "Training time (s)"}
    ordered = sorted(points, key=lambda one: (one.max_depth, one.iterations))
    frame = pd.DataFrame(
        [one.model_dump() for one in ordered],
        columns=["max_depth", "iterations", "cv_auc", "seconds"],
    )
    depths = sorted({one.max_depth for one in points})
    step = max(1, len(_DEPTH_COLOURS) // max(1, len(depths)))
    colours = (_DEPTH_COLOURS[::step] + _DEPTH_COLOURS)[: len(depths)]
    base = alt.Chart(frame).encode(
        x=alt.X(f"{by}:Q", title=titles[by]),
        y=alt.Y("cv_auc:Q", title=_AUC_TITLE, scale=alt.Scale(zero=False, padding=12)),
        color=alt.Color(
            "max_depth:O",
            scale=alt.Scale(domain=depths, range=colours),
            legend=alt.Legend(title="Depth", orient="bottom", titleOrient="left", symbolSize=70),
        ),
        tooltip=[
            alt.Tooltip("max_depth", title="Depth"),
            alt.Tooltip("iterations", title="Iterations"),
            alt.Tooltip("seconds", title="Seconds", format=".1f"),
            alt.Tooltip("cv_auc", title=_AUC_TITLE, format=".4f"),
        ],
    )
    lines = base.mark_line(strokeWidth=2)
    dots = base.mark_point(filled=True, size=30, opacity=1)
    title = f"Boosted trees: AUC against {titles[by].partition(' (')[0].lower()}"
    return layered(lines, dots, title=title, height=HEIGHT)


def _frame(report: SweepReport) -> pd.DataFrame:
    ordered = sorted(report.measurements, key=lambda one: _by_size(one.profile))
    return pd.DataFrame(
        [
            {
                "profile": words.profile_label(one.profile, report.physical_cores),
                "family": words.family_name(one.family),
                "repeat": one.repeat,
                "seconds": one.seconds,
                "core_seconds": one.usage.core_seconds,
                "auc": one.cv_auc,
                "low": one.cv_auc - (one.cv_auc_standard_error or 0.0),
                "high": one.cv_auc + (one.cv_auc_standard_error or 0.0),
            }
            for one in ordered
        ],
        columns=[
            *("profile", "family", "repeat", "seconds", "core_seconds", "auc", "low", "high"),
        ],
    )


def _by_size(profile: Profile) -> tuple[int, int, str]:
    return profile.cores, profile.memory_mb, profile.name


def _by_profile(frame: pd.DataFrame) -> alt.Chart:
    families = [name for name in words.FAMILIES.values() if name in set(frame["family"])]
    families += [name for name in dict.fromkeys(frame["family"]) if name not in families]
    base: alt.Chart = alt.Chart(frame).encode(
        x=alt.X(
            "profile:N",
            title="Profile",
            sort=list(dict.fromkeys(frame["profile"])),
            axis=_PROFILE_AXIS,
        ),
        xOffset=alt.XOffset("family:N", sort=families),
        color=family_colour(frame["family"]),
        tooltip=[
            alt.Tooltip("profile:N", title="Profile"),
            alt.Tooltip("family:N", title="Family"),
            alt.Tooltip("repeat:O", title="Repeat"),
            alt.Tooltip("seconds:Q", title="Seconds", format=".1f"),
            alt.Tooltip("core_seconds:Q", title="Core-seconds", format=".1f"),
            alt.Tooltip("auc:Q", title=_AUC_TITLE, format=".4f"),
        ],
    )
    return base


def _shapes(profiles: int) -> list[str]:
    return [_SHAPES[index % len(_SHAPES)] for index in range(profiles)]
