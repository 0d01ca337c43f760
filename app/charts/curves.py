"""Overlays of ROC, precision-recall and calibration curves, with bands where they are known."""

from __future__ import annotations

from collections.abc import Mapping

import altair as alt
import pandas as pd

from app.charts.base import (
    UNIT,
    Calibrated,
    Evaluations,
    height_for,
    layered,
    run_colour,
    segment,
)
from core.training.bands import Band, CurveBands
from core.training.report import Confusion, Curve

#: Bands under the names of their runs; a run without predictions has none.
Bands = Mapping[str, CurveBands]
#: What the x axis and the y axis show.
Titles = tuple[str, str]
#: Faint enough for six bands on one another.
_BAND_OPACITY = 0.13


def roc_chart(evaluations: Evaluations, bands: Bands | None = None) -> alt.LayerChart:
    """ROC curves over the diagonal of a coin toss."""
    # In a third of a page there is no room to say what the number is beside every name.
    names = {
        name: f"{name} ({report.metrics['auc'].value:.3f})" for name, report in evaluations.items()
    }
    curves = {names[name]: report.roc for name, report in evaluations.items()}
    known = {names[name]: one.roc for name, one in (bands or {}).items()}
    titles = ("False positive rate", "True positive rate")
    layers = [segment((0, 0), (1, 1)), *_bands(known, list(curves), titles)]
    layers.append(_curves(curves, titles))
    return layered(*layers, title="ROC curve (AUC in brackets)", height=height_for(evaluations))


def precision_recall_chart(evaluations: Evaluations, bands: Bands | None = None) -> alt.LayerChart:
    """Precision over recall, with the share of positives as the floor."""
    curves = {name: report.precision_recall for name, report in evaluations.items()}
    known = {name: one.precision_recall for name, one in (bands or {}).items()}
    shares = [_positive_share(report.confusion) for report in evaluations.values()]
    floor = sum(shares) / len(shares)
    titles = ("Recall", "Precision")
    layers = [segment((0, floor), (1, floor)), *_bands(known, list(curves), titles)]
    layers.append(_curves(curves, titles))
    return layered(*layers, title="Precision–recall curve", height=height_for(evaluations))


def calibration_chart(
    evaluations: Mapping[str, Calibrated], bands: Bands | None = None
) -> alt.LayerChart:
    """Observed rate over predicted probability; on the diagonal a model means what it says."""
    known = {name: one.calibration for name, one in (bands or {}).items()}
    titles = ("Mean predicted probability", "Observed rate")
    layers = [segment((0, 0), (1, 1)), *_bands(known, list(evaluations), titles)]
    layers.append(_calibration(evaluations, titles))
    return layered(*layers, title="Calibration", height=height_for(evaluations))


def _calibration(evaluations: Mapping[str, Calibrated], titles: Titles) -> alt.Chart:
    frame = pd.DataFrame(
        [
            {"run": name, **one.model_dump()}
            for name, report in evaluations.items()
            for one in report.calibration
        ],
        columns=["run", "mean_predicted", "observed_rate", "rows"],
    )
    points: alt.Chart = (
        alt.Chart(frame)
        .mark_line(point=alt.OverlayMarkDef(size=55, filled=True), strokeWidth=1.5)
        .encode(
            x=alt.X("mean_predicted:Q", title=titles[0], scale=UNIT),
            y=alt.Y("observed_rate:Q", title=titles[1], scale=UNIT),
            color=run_colour(list(evaluations)),
            tooltip=[
                alt.Tooltip("run", title="Run"),
                alt.Tooltip("mean_predicted", title="Predicted", format=".3f"),
                alt.Tooltip("observed_rate", title="Observed", format=".3f"),
                alt.Tooltip("rows", title="Rows", format=","),
            ],
        )
    )
    return points


def _bands(known: Mapping[str, Band], names: list[str], titles: Titles) -> list[alt.Chart]:
    if not known:
        return []
    frame = pd.DataFrame(
        [
            {"run": name, "x": x, "low": low, "high": high}
            for name, band in known.items()
            for x, low, high in zip(band.x, band.low, band.high, strict=True)
        ]
    )
    areas: alt.Chart = (
        alt.Chart(frame)
        .mark_area(opacity=_BAND_OPACITY)
        .encode(
            x=alt.X("x:Q", title=titles[0], scale=UNIT),
            y=alt.Y("low:Q", title=titles[1], scale=UNIT, stack=None),
            y2="high:Q",
            color=run_colour(names),
        )
    )
    return [areas]


def _curves(curves: Mapping[str, Curve], titles: Titles) -> alt.Chart:
    frame = pd.DataFrame(
        [
            {"run": name, "x": x, "y": y, "order": index}
            for name, curve in curves.items()
            for index, (x, y) in enumerate(zip(curve.x, curve.y, strict=True))
        ],
        columns=["run", "x", "y", "order"],
    )
    lines: alt.Chart = (
        alt.Chart(frame)
        .mark_line(strokeWidth=2)
        .encode(
            x=alt.X("x:Q", title=titles[0], scale=UNIT),
            y=alt.Y("y:Q", title=titles[1], scale=UNIT),
            color=run_colour(list(curves)),
            # Without it lines are joined by x, which folds vertical steps.
            order="order:Q",
            tooltip=[
                alt.Tooltip("run", title="Run"),
                alt.Tooltip("x", title=titles[0], format=".3f"),
                alt.Tooltip("y", title=titles[1], format=".3f"),
            ],
        )
    )
    return lines


def _positive_share(confusion: Confusion) -> float:
    positives = confusion.true_positive + confusion.false_negative
    rows = positives + confusion.false_positive + confusion.true_negative
    return positives / rows if rows else 0.0
