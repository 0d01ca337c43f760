"""How much the served models are asked and how fast they answer; pure functions of two scrapes.

What counts as a request here is one that wants predictions. Percentiles are read from the
histogram ``pilothouse_request_duration_seconds``, which a replica fills from the headers of a
request to its answer; the way through the proxy is not in it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from core.deployment.metrics import DURATION, REQUESTS
from core.deployment.scrape import Scrape, Series, grown
from core.frozen import Frozen

#: Names under which a replica counts what wants predictions: see ``Route`` in serve/routes.py.
SCORING_ROUTES = frozenset({"predict", "infer", "invocations"})
#: Below this many requests a 95th percentile is little more than the slowest of them.
LEAST_REQUESTS = 20
_SERVER_ERROR, _REFUSED = 500, 400
_MS = 1000.0


class Traffic(Frozen):
    """Requests for predictions over some seconds.

    Percentiles are in milliseconds and ``None`` where there were too few requests for them.
    ``refused`` are answers of 4xx, which are the caller's; ``errors`` those of 5xx. ``error_rate``
    is their share of all requests, ``None`` without requests.
    """

    seconds: float
    requests: int
    rate_per_s: float
    error_rate: float | None
    refused: int
    errors: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None

    @property
    def said(self) -> str:
        """What an operator should know of these numbers; empty where they speak for themselves."""
        if not self.requests:
            return f"No request for a prediction in the last {self.seconds:.0f} s."
        if self.requests < LEAST_REQUESTS:
            return (
                f"{self.requests} in the last {self.seconds:.0f} s: too few for percentiles, "
                f"which take {LEAST_REQUESTS} or more."
            )
        return ""


def traffic(before: Scrape, after: Scrape, problem: str | None = None) -> Traffic:
    """What was asked between two scrapes, for one problem or for all.

    Raises:
        ValueError: the second scrape is not after the first.
    """
    seconds = _between(before, after)
    change = grown(before, after)
    by_status: Counter[int] = Counter()
    for series, count in change.of(REQUESTS):
        if _is_asked(series, problem):
            by_status[int(series.label("status"))] += round(count)
    buckets: Counter[float] = Counter()
    for series, count in change.of(f"{DURATION}_bucket"):
        if _is_asked(series, problem):
            buckets[float(series.label("le"))] += round(count)
    errors = sum(count for status, count in by_status.items() if status >= _SERVER_ERROR)
    failed = sum(count for status, count in by_status.items() if status >= _REFUSED)
    asked = by_status.total()
    return Traffic(
        seconds=seconds,
        requests=asked,
        rate_per_s=asked / seconds,
        error_rate=errors / asked if asked else None,
        errors=errors,
        refused=failed - errors,
        p50_ms=_milliseconds(buckets, 0.5),
        p95_ms=_milliseconds(buckets, 0.95),
        p99_ms=_milliseconds(buckets, 0.99),
    )


def in_flight(before: Scrape, after: Scrape) -> dict[str, float]:
    """Replica -> requests that it had in hand on average between two scrapes.

    Little's law (L = λ W: J. D. C. Little, "A Proof for the Queuing Formula L = λW", 1961): the
    number in a system is the rate at which they come times how long each stays. Both together
    are what the sum of all durations has grown by in a second. Requests of every kind count, as
    they do for Ray Serve. One that has not ended yet counts when it ends.

    Raises:
        ValueError: the second scrape is not after the first.
    """
    seconds = _between(before, after)
    busy_s: defaultdict[str, float] = defaultdict(float)
    for series, grown_s in grown(before, after).of(f"{DURATION}_sum"):
        busy_s[series.label("replica")] += grown_s
    return {replica: busy / seconds for replica, busy in sorted(busy_s.items())}


def quantile(buckets: Mapping[float, int], share: float) -> float | None:
    """A quantile of a histogram, interpolated as Prometheus' ``histogram_quantile`` does.

    Values are taken to be spread evenly within a bucket, and the first to begin at zero. Of a
    quantile above every finite bound no more is known, so the largest of them is returned.
    https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile

    Args:
        buckets: upper bound -> values up to it, each with all that are below; infinity is one.
        share: between 0 and 1.

    Returns:
        In the unit of the bounds; ``None`` where there are no values.
    """
    bounds = sorted(buckets)
    total = buckets[bounds[-1]] if bounds else 0
    if not total:
        return None
    rank = share * total
    below, low = 0, 0.0
    for bound in bounds:
        if buckets[bound] >= rank:
            if bound == float("inf"):
                return low
            inside = buckets[bound] - below
            return low + (bound - low) * (rank - below) / inside if inside else bound
        below, low = buckets[bound], bound
    return low


def problems_in(scrapes: Sequence[Scrape]) -> tuple[str, ...]:
    """Problems that were asked for, by name."""
    found = {series.label("problem") for one in scrapes for series, _ in one.of(REQUESTS)}
    return tuple(sorted(found - {""}))


def _milliseconds(buckets: Mapping[float, int], share: float) -> float | None:
    if buckets.get(float("inf"), 0) < LEAST_REQUESTS:
        return None
    found = quantile(buckets, share)
    return None if found is None else found * _MS


def _between(before: Scrape, after: Scrape) -> float:
    seconds = after.at_s - before.at_s
    if seconds <= 0:
        raise ValueError("the second scrape has to come after the first")
    return seconds


def _is_asked(series: Series, problem: str | None) -> bool:
    return series.label("route") in SCORING_ROUTES and problem in (None, series.label("problem"))
