"""Rates and percentiles from two scrapes of the served models."""

from __future__ import annotations

import math
import random

import pytest

from core.deployment.load import in_flight, problems_in, quantile, traffic
from core.deployment.scrape import Series, grown, read_scrape
from serve.counts import BOUNDS_S, Counts
from tests.unit.load_values import told

INF = math.inf


def test_a_text_is_read_as_it_was_written() -> None:
    text = (
        '# HELP a What.\n# TYPE a gauge\na{y="q\\"\\\\\\n",x="1"} 0.5\nb 3\nbroken{ 1\nc nothing\n'
    )
    scrape = read_scrape(text, 7.0)
    assert scrape.values == {
        Series("a", (("x", "1"), ("y", 'q"\\\n'))): 0.5,
        Series("b", ()): 3.0,
    }
    (labelled,) = (one for one, _ in scrape.of("a"))
    assert (labelled.label("x"), labelled.label("nothing")) == ("1", "")


def test_counters_grow_from_zero_where_they_are_new_or_were_started_anew() -> None:
    before = read_scrape('a{r="1"} 10\na{r="2"} 50\na{r="gone"} 9\n', 0.0)
    after = read_scrape('a{r="1"} 14\na{r="2"} 5\na{r="3"} 2\n', 10.0)
    change = grown(before, after)
    assert {series.label("r"): value for series, value in change.values.items()} == {
        "1": 4,
        "2": 5,
        "3": 2,
    }


def test_requests_errors_and_refusals_are_told_apart() -> None:
    one, two = Counts("r1"), Counts("r2")
    one.note("titanic", "predict", 200, 0.001)
    before = read_scrape(told(one), 100.0)
    for status, times in ((200, 30), (422, 4), (500, 2)):
        for _ in range(times):
            one.note("titanic", "predict", status, 0.001)
    for _ in range(20):
        two.note("car_loan", "infer", 200, 0.001)
        two.note("titanic", "problems", 200, 0.001)
        two.note("", "other", 404, 0.001)
    after = read_scrape(told(one, two), 110.0)
    found = traffic(before, after)
    assert (found.requests, found.refused, found.errors) == (56, 4, 2)
    assert found.rate_per_s == pytest.approx(5.6)
    assert found.error_rate == pytest.approx(2 / 56)
    assert found.said == ""
    titanic = traffic(before, after, "titanic")
    assert (titanic.requests, titanic.errors) == (36, 2)
    assert problems_in([after]) == ("car_loan", "titanic")


def test_too_little_traffic_is_said_and_gives_no_percentiles() -> None:
    counts = Counts("r1")
    before = read_scrape(told(counts), 0.0)
    quiet = traffic(before, read_scrape(told(counts), 10.0))
    assert quiet.error_rate is None
    assert quiet.said == "No request for a prediction in the last 10 s."
    for _ in range(19):
        counts.note("titanic", "predict", 200, 0.001)
    few = traffic(before, read_scrape(told(counts), 10.0))
    assert (few.p50_ms, few.p99_ms) == (None, None)
    assert few.said.startswith("19 in the last 10 s: too few for percentiles")
    counts.note("titanic", "predict", 200, 0.001)
    assert traffic(before, read_scrape(told(counts), 10.0)).p50_ms is not None


def test_percentiles_are_within_a_tenth_of_the_true_ones() -> None:
    draw = random.Random(7)
    seconds = sorted(draw.lognormvariate(math.log(0.004), 0.8) for _ in range(5000))
    counts = Counts("r1")
    before = read_scrape(told(counts), 0.0)
    for one in seconds:
        counts.note("titanic", "predict", 200, one)
    found = traffic(before, read_scrape(told(counts), 10.0))
    for share, shown in ((0.5, found.p50_ms), (0.95, found.p95_ms), (0.99, found.p99_ms)):
        assert shown == pytest.approx(seconds[int(share * 5000)] * 1000, rel=0.1)


def test_a_quantile_is_interpolated_as_prometheus_does() -> None:
    buckets = {1.0: 0, 2.0: 10, 4.0: 30, INF: 40}
    assert quantile(buckets, 0.25) == pytest.approx(2.0)
    assert quantile(buckets, 0.5) == pytest.approx(3.0)
    assert quantile({1.0: 4, INF: 4}, 0.5) == pytest.approx(0.5)
    # Above every finite bound no more is known.
    assert quantile(buckets, 0.99) == 4.0
    assert quantile({1.0: 0, INF: 0}, 0.5) is None
    assert quantile({}, 0.5) is None


def test_requests_in_flight_follow_from_their_durations() -> None:
    one, two = Counts("r1"), Counts("r2")
    before = read_scrape(told(one, two), 0.0)
    # 100 requests a second of which each takes 0.3 s: 30 at any moment.
    for _ in range(1000):
        one.note("titanic", "predict", 200, 0.3)
    two.note("", "other", 200, 5.0)
    assert in_flight(before, read_scrape(told(one, two), 10.0)) == {
        "r1": pytest.approx(30.0),
        "r2": pytest.approx(0.5),
    }


def test_the_second_scrape_comes_after_the_first() -> None:
    scrape = read_scrape("", 1.0)
    for ask in (traffic, in_flight):
        with pytest.raises(ValueError, match="after the first"):
            ask(scrape, scrape)


def test_bounds_reach_from_a_tenth_of_a_millisecond_to_a_timeout() -> None:
    assert (BOUNDS_S[0], BOUNDS_S[-1]) == (0.0001, 10.0)
