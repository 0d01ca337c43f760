"""Data to Altair charts. No Streamlit, no colours of its own where a theme can choose."""

from app.charts.base import Evaluations
from app.charts.curves import Bands, calibration_chart, precision_recall_chart, roc_chart
from app.charts.history import Axis, VersionMetric, parallel_chart, versions_chart
from app.charts.outcomes import (
    RATE_METRICS,
    TOP_WEIGHTS,
    confusion_chart,
    metrics_chart,
    probability_chart,
    weights_chart,
)
from app.charts.search import search_chart

__all__ = [
    "RATE_METRICS",
    "TOP_WEIGHTS",
    "Axis",
    "Bands",
    "Evaluations",
    "VersionMetric",
    "calibration_chart",
    "confusion_chart",
    "metrics_chart",
    "parallel_chart",
    "precision_recall_chart",
    "probability_chart",
    "roc_chart",
    "search_chart",
    "versions_chart",
    "weights_chart",
]
