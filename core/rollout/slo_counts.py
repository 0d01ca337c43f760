"""Requests by the hour, counted from the counters that replicas tell; pure functions of values."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from math import inf
from typing import NamedTuple

from pydantic import Field

from core.deployment.load import SCORING_ROUTES
from core.deployment.metrics import BOUNDS_S, DURATION, KEPT_S, REQUESTS
from core.deployment.scrape import Scrape, Series, grown
from core.frozen import Frozen
from core.rollout.slo import Counted

#: How long an hour is kept: as long as the longest window.
KEPT = timedelta(days=90)
#: A replica of which nothing was seen for so long does not come back: its file is gone by then.
FORGOTTEN = 2 * timedelta(seconds=KEPT_S)
_SERVER_ERROR = 500
_MS = 1000.0


class Counters(NamedTuple):
    """What a replica has counted of one problem since it started.

    All are whole and never fall: ``over`` has the answers above the bucket of the histogram in
    which the limit lies, ``inside`` those in it.
    """

    requests: int = 0
    errors: int = 0
    over: int = 0
    inside: int = 0


#: Replica -> problem -> its counters.
Seen = Mapping[str, Mapping[str, Counters]]


class ReplicaSeen(Frozen):
    """A replica as it was seen last, and in which hour."""

    hour: datetime
    counters: Mapping[str, Counters]


class SloCounts(Frozen):
    """All that is known at one moment.

    ``limits_ms`` is what counted as slow when counters were seen last, by problem; ``hours`` has
    the counts of a problem by the begin of the hour, in UTC.
    """

    limits_ms: Mapping[str, float] = Field(default_factory=dict)
    replicas: Mapping[str, ReplicaSeen] = Field(default_factory=dict)
    hours: Mapping[str, Mapping[datetime, Counted]] = Field(default_factory=dict)


def counters_in(scrape: Scrape, limits_ms: Mapping[str, float]) -> Seen:
    """What every replica has counted of the problems of which a limit is known."""
    asked: Counter[tuple[str, str]] = Counter()
    errors: Counter[tuple[str, str]] = Counter()
    for key, series, value in _of(scrape, REQUESTS, limits_ms):
        asked[key] += value
        if int(series.label("status")) >= _SERVER_ERROR:
            errors[key] += value
    buckets: defaultdict[tuple[str, str], Counter[float]] = defaultdict(Counter)
    for key, series, value in _of(scrape, f"{DURATION}_bucket", limits_ms):
        buckets[key][float(series.label("le"))] += value
    found: defaultdict[str, dict[str, Counters]] = defaultdict(dict)
    for key, requests in asked.items():
        replica, problem = key
        slow = _around(buckets[key], limits_ms[problem] / _MS)
        found[replica][problem] = Counters(requests, errors[key], *slow)
    return dict(found)


def add(
    before: SloCounts | None, seen: Seen, limits_ms: Mapping[str, float], hour: datetime
) -> SloCounts:
    """What is known after another look.

    A replica that was not there has counted from zero, since each has a label of its own; so has
    one whose counters became smaller. One that is not seen for a time goes on from where it was.
    Where nothing is known of a problem yet, what replicas have counted so far is the beginning:
    nobody knows when they did. What was slow by another limit than before is the beginning too.

    Args:
        before: what was known; ``None`` at the first look.
        seen: the counters now.
        limits_ms: problem -> milliseconds above which an answer is slow.
        hour: the begin of the hour in which the look is, in UTC.
    """
    known = before or SloCounts()
    hours = {
        problem: {at: one for at, one in counts.items() if hour - at < KEPT}
        for problem, counts in known.hours.items()
    }
    for problem, counted in _growth(known, seen, limits_ms).items():
        of_problem = hours.setdefault(problem, {})
        of_problem[hour] = of_problem.get(hour, Counted()).plus(counted)
    stale = {name: one for name, one in known.replicas.items() if hour - one.hour < FORGOTTEN}
    fresh = {name: ReplicaSeen(hour=hour, counters=counters) for name, counters in seen.items()}
    return SloCounts(limits_ms=limits_ms, replicas={**stale, **fresh}, hours=hours)


def _of(
    scrape: Scrape, name: str, problems: Mapping[str, float]
) -> Iterator[tuple[tuple[str, str], Series, int]]:
    """Samples of requests for predictions, each with its replica and problem."""
    for series, value in scrape.of(name):
        if series.label("route") in SCORING_ROUTES and series.label("problem") in problems:
            yield (series.label("replica"), series.label("problem")), series, round(value)


def _around(buckets: Mapping[float, int], limit_s: float) -> tuple[int, int]:
    """Answers above the bucket in which a limit lies, and those in it.

    Args:
        buckets: upper bound in seconds -> answers up to it, each with all that are below.
        limit_s: above every finite bound it counts as the largest of them.
    """
    place = min(bisect_left(BOUNDS_S, limit_s), len(BOUNDS_S) - 1)
    up_to = buckets.get(BOUNDS_S[place], 0)
    below = buckets.get(BOUNDS_S[place - 1], 0) if place else 0
    return buckets.get(inf, 0) - up_to, up_to - below


def _slow_inside(limit_s: float) -> float:
    """Share of the bucket in which a limit lies that is above it.

    As in ``core.deployment.load.quantile``, answers are taken to be spread evenly within it.
    """
    place = bisect_left(BOUNDS_S, limit_s)
    if place == len(BOUNDS_S):
        return 0.0
    high, low = BOUNDS_S[place], BOUNDS_S[place - 1] if place else 0.0
    return (high - limit_s) / (high - low)


def _growth(before: SloCounts, seen: Seen, limits_ms: Mapping[str, float]) -> Mapping[str, Counted]:
    """What came since, by problem, over all replicas; only problems with requests are in it."""
    last = {name: one.counters for name, one in before.replicas.items()}
    sums: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for series, value in grown(_as_scrape(last), _as_scrape(seen)).values.items():
        sums[series.label("problem")][series.name] += round(value)
    found = {}
    for problem, limit_ms in limits_ms.items():
        came = Counters(**sums[problem])
        if came.requests and problem in before.limits_ms:
            slow = came.over + came.inside * _slow_inside(limit_ms / _MS)
            is_comparable = before.limits_ms[problem] == limit_ms
            found[problem] = Counted(came.requests, came.errors, slow if is_comparable else 0.0)
    return found


def _as_scrape(counters: Seen) -> Scrape:
    return Scrape(
        0.0,
        {
            Series(name, (("problem", problem), ("replica", replica))): value
            for replica, problems in counters.items()
            for problem, counted in problems.items()
            for name, value in counted._asdict().items()
        },
    )
