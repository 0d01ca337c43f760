"""Numbers as people read them, in the panel and on the command line."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Protocol

#: What stands where there is no value.
NOTHING = "–"

#: Model families in words, in the order in which they are drawn.
FAMILIES = {
    "lr": "Logistic Regression",
    "rf": "Random Forest",
    "gbt": "Gradient-Boosted Trees",
    "xgb": "XGBoost",
}
#: Metrics in words, in the order of reading.
METRICS = {
    "auc": "AUC",
    "cv_auc": "CV AUC",
    "accuracy": "Accuracy",
    "precision": "Precision",
    "recall": "Recall",
    "f1": "F1",
    "log_loss": "Log-loss",
    "brier": "Brier score",
}
#: Metrics of which less is better.
LOWER_IS_BETTER = frozenset({"log_loss", "brier"})
#: What a run cost, under MLflow's names, in the order of reading.
COSTS = {
    "wall_seconds": "Wall time (s)",
    "core_seconds": "Core time of Spark (s)",
    "peak_rss_mb": "Peak memory of Spark (MiB)",
    "mean_utilization": "Mean utilization of Spark's cores",
    "gc_share": "Garbage collection (share of task time)",
}
_SHARES = frozenset({"mean_utilization", "gc_share"})


def count(amount: int, noun: str) -> str:
    """``1 run``, ``2 runs``, ``1,200 rows``."""
    return f"{amount:,} {noun}{'' if amount == 1 else 's'}"


def signed(value: float, digits: int = 3) -> str:
    """A difference with its sign, a true minus for less."""
    return f"{value:+.{digits}f}".replace("-", "−")


def cost(name: str, value: float) -> str:
    """What was spent, by its name in ``COSTS``: a share in percent, all else in its unit."""
    return f"{value:.1%}" if name in _SHARES else f"{value:,.1f}"


def family_name(family: str | None) -> str:
    """A model family in words; an unknown one as it is written."""
    if not family:
        return NOTHING
    return FAMILIES.get(family, family)


def metric_name(metric: str) -> str:
    """A metric in words; an unknown one as it is written."""
    return METRICS.get(metric, metric.replace("_", " "))


def number(value: float, digits: int = 3) -> str:
    """A metric with a fixed number of decimals."""
    return f"{value:.{digits}f}" if math.isfinite(value) else NOTHING


def per_second(value: float) -> str:
    """A rate: whole numbers where they are large enough."""
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def milliseconds(value: float | None) -> str:
    """A duration in milliseconds, in two or three digits that mean something."""
    if value is None:
        return NOTHING
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def share(value: float | None) -> str:
    """A share in percent; a small one is never rounded to none."""
    if value is None:
        return NOTHING
    if value >= 0.1:
        # Two digits that mean something would be an exponent from 99.5 % on.
        return f"{100 * value:.0f} %"
    return "0 %" if value == 0 else f"{100 * value:.2g} %" if value >= 0.0001 else "< 0.01 %"


class Spread(Protocol):
    """A value with the ends of its interval."""

    @property
    def value(self) -> float:
        """What was measured."""

    @property
    def low(self) -> float:
        """The lower end."""

    @property
    def high(self) -> float:
        """The upper end."""


def interval(estimate: Spread) -> str:
    """A metric with its interval, such as ``0.871 [0.842, 0.899]``."""
    return f"{number(estimate.value)} [{number(estimate.low)}, {number(estimate.high)}]"


def utc(moment: datetime) -> datetime:
    """The same moment in UTC; a time without a zone is taken to be UTC."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def clock(moment: datetime) -> str:
    """Date and time to the minute, zone spelled out."""
    return f"{utc(moment):%Y-%m-%d %H:%M} UTC"
