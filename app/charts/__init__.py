"""Data to Altair charts. No Streamlit, no colours of its own where a theme can choose."""

from app.charts.base import Evaluations
from app.charts.curves import Bands, calibration_chart, precision_recall_chart, roc_chart
from app.charts.distributions import distribution_chart
from app.charts.history import Axis, VersionMetric, parallel_chart, versions_chart
from app.charts.importance import importance_chart
from app.charts.load import latency_chart, load_chart, rate_chart, replicas_chart
from app.charts.outcomes import (
    RATE_METRICS,
    TOP_WEIGHTS,
    confusion_chart,
    metrics_chart,
    probability_chart,
    weights_chart,
)
from app.charts.promotions import Gain, Period, gains_chart, timeline_chart
from app.charts.rollout import answers_chart, differences_chart
from app.charts.search import has_times, search_chart
from app.charts.sweep import (
    PRICES,
    Price,
    boosting_chart,
    frontier_chart,
    sweep_auc_chart,
    sweep_time_chart,
)
from app.charts.usage import (
    cpu_chart,
    executors_cpu_chart,
    executors_memory_chart,
    memory_chart,
)
from app.charts.watching import Course, course_chart, performance_chart

__all__ = [
    "PRICES",
    "RATE_METRICS",
    "TOP_WEIGHTS",
    "Axis",
    "Bands",
    "Course",
    "Evaluations",
    "Gain",
    "Period",
    "Price",
    "VersionMetric",
    "answers_chart",
    "boosting_chart",
    "calibration_chart",
    "confusion_chart",
    "course_chart",
    "cpu_chart",
    "differences_chart",
    "distribution_chart",
    "executors_cpu_chart",
    "executors_memory_chart",
    "frontier_chart",
    "gains_chart",
    "has_times",
    "importance_chart",
    "latency_chart",
    "load_chart",
    "memory_chart",
    "metrics_chart",
    "parallel_chart",
    "performance_chart",
    "precision_recall_chart",
    "probability_chart",
    "rate_chart",
    "replicas_chart",
    "roc_chart",
    "search_chart",
    "sweep_auc_chart",
    "sweep_time_chart",
    "timeline_chart",
    "versions_chart",
    "weights_chart",
]
