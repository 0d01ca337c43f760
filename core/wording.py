"""Numbers as people read them, in the panel and on the command line."""

from __future__ import annotations

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
