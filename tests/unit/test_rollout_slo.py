"""Service level objectives: what is counted by whom, what is kept, and what of it is spent."""

from __future__ import annotations

import os
import time
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.deployment.metrics import (
    BOUNDS_S,
    DURATION,
    STALE_S,
    metrics_folder,
    remove_metrics,
    write_metrics,
)
from core.deployment.scrape import read_scrape
from core.errors import UnavailableError
from core.params_rollout import SloParams
from core.rollout.slo import LEAST_REQUESTS, Budget, Counted, budget, within_window
from core.rollout.slo_counts import FORGOTTEN, KEPT, Counters, add, counters_in
from core.rollout.slo_watch import SloService, SloWatch, slo_file
from serve.counts import Counts
from tests.unit.load_values import AT, told

SLO = SloParams(availability=0.99, p95_ms=100.0, window_days=7)
OBJECTIVES = {"titanic": SLO}
LIMITS = {"titanic": 100.0}
HOUR = datetime(2026, 1, 31, 8, tzinfo=UTC)


def _budget(requests: int, errors: int = 0, slow: float = 0.0) -> Budget:
    return budget("titanic", SLO, Counted(requests, errors, slow))


class TestBudget:
    @pytest.mark.parametrize(
        ("counted", "spent_errors", "spent_slow", "is_spent"),
        [
            ((1000, 0, 0.0), 0.0, 0.0, False),
            ((1000, 5, 25.0), 0.5, 0.5, False),
            ((1000, 9, 49.9), 0.9, 0.998, False),
            # What is allowed to the last request leaves nothing.
            ((1000, 10, 0.0), 1.0, 0.0, True),
            ((100, 1, 0.0), 1.0, 0.0, True),
            ((1000, 0, 50.0), 0.0, 1.0, True),
            ((1000, 30, 200.0), 3.0, 4.0, True),
            # Too few to judge by.
            ((99, 99, 99.0), 100.0, 20.0, False),
            ((0, 0, 0.0), 0.0, 0.0, False),
        ],
    )
    def test_what_is_spent(
        self,
        counted: tuple[int, int, float],
        spent_errors: float,
        spent_slow: float,
        is_spent: bool,
    ) -> None:
        found = _budget(*counted)
        assert found.spent_errors == pytest.approx(spent_errors)
        assert found.spent_slow == pytest.approx(spent_slow)
        assert found.is_spent is is_spent

    def test_shares_of_requests(self) -> None:
        found = _budget(2000, 5, 30.0)
        assert found.availability == pytest.approx(0.9975)
        assert found.within == pytest.approx(0.985)
        assert (_budget(0).availability, _budget(0).within) == (None, None)

    @pytest.mark.parametrize(
        ("found", "said"),
        [
            (_budget(0), "No request for a prediction was counted in the last 7 days."),
            (
                _budget(12, 12),
                "12 requests in the last 7 days: too few to spend the error budget, "
                "which takes 100.",
            ),
            (
                _budget(18_000, 45, 90.0),
                "Of the error budget of the last 7 days, 25 % is spent by failed requests and "
                "10 % by slow ones (18,000 requests).",
            ),
            (
                _budget(18_000, 360),
                "The error budget of the last 7 days is spent: 2 % of 18,000 requests failed, "
                "1 % may.",
            ),
            (
                _budget(1000, 1000, 1000.0),
                "The error budget of the last 7 days is spent: 100 % of 1,000 requests failed, "
                "1 % may; 100 % took longer than 100 ms, 5 % may.",
            ),
        ],
    )
    def test_one_sentence(self, found: Budget, said: str) -> None:
        assert found.said == said

    @given(st.integers(0, 10_000), st.floats(0, 1), st.floats(0, 1))
    def test_a_spent_budget_is_a_broken_promise(
        self, requests: int, failed: float, slow: float
    ) -> None:
        found = _budget(requests, int(failed * requests), slow * requests)
        if found.is_spent:
            assert found.availability is not None
            assert found.within is not None
            assert found.availability <= 0.99 + 1e-9 or found.within <= 0.95 + 1e-9
            assert requests >= LEAST_REQUESTS
            assert "is spent:" in found.said
        else:
            assert "is spent:" not in found.said

    def test_the_window_rolls(self) -> None:
        hours = {
            HOUR - timedelta(days=7, hours=1): Counted(1),
            HOUR - timedelta(days=7): Counted(10),
            HOUR: Counted(100),
            HOUR + timedelta(hours=1): Counted(1000),
        }
        found = within_window(hours, HOUR + timedelta(minutes=15), 7)
        assert sum(one.requests for one in found) == 110


class TestSlowAnswers:
    @staticmethod
    def _counted(limit_ms: float, *seconds: float) -> Counted:
        """What an hour has where so many seconds were taken after the first look."""
        limits, counts = {"titanic": limit_ms}, Counts("r1")
        before = add(None, {}, limits, HOUR)
        for one in seconds:
            counts.note("titanic", "predict", 200, one)
        seen = counters_in(read_scrape(told(counts), 0.0), limits)
        return add(before, seen, limits, HOUR).hours["titanic"][HOUR]

    def test_answers_are_spread_evenly_within_a_bucket(self) -> None:
        # Between 80 and 100 ms lie four; 85 ms is a quarter of the way.
        assert self._counted(85.0, 0.09, 0.09, 0.09, 0.09).slow == pytest.approx(3.0)
        assert self._counted(100.0, 0.09, 0.09, 0.12).slow == pytest.approx(1.0)
        assert self._counted(80.0, 0.09, 0.07).slow == pytest.approx(1.0)
        assert self._counted(0.05, 0.00002, 0.001).slow == pytest.approx(1.5)

    def test_beyond_the_last_bound_all_are_slow(self) -> None:
        assert self._counted(10_000.0, 9.0, 11.0, 60.0).slow == pytest.approx(2.0)
        assert self._counted(20_000.0, 9.0, 11.0, 60.0).slow == pytest.approx(2.0)

    @given(st.lists(st.floats(0, 20), min_size=1), st.floats(0.01, 9_999))
    def test_only_the_bucket_of_the_limit_is_in_doubt(
        self, seconds: list[float], limit_ms: float
    ) -> None:
        place = bisect_left(BOUNDS_S, limit_ms / 1000)
        places = [bisect_left(BOUNDS_S, one) for one in seconds]
        surely, at_most = (sum(one > place for one in places), sum(one >= place for one in places))
        slow = self._counted(limit_ms, *seconds).slow
        assert surely - 1e-9 <= slow <= at_most + 1e-9


def _seen(**replicas: Counters) -> Mapping[str, Mapping[str, Counters]]:
    return {name: {"titanic": counters} for name, counters in replicas.items()}


class TestGrowth:
    def test_other_routes_problems_and_statuses(self) -> None:
        counts = Counts("r1")
        for status in (200, 422, 429, 500, 503):
            counts.note("titanic", "predict", status, 0.001)
        counts.note("titanic", "invocations", 500, 0.001)
        counts.note("titanic", "labels", 500, 0.001)
        counts.note("car_loan", "predict", 500, 0.001)
        counts.note("", "other", 500, 0.001)
        seen = counters_in(read_scrape(told(counts), 0.0), LIMITS)
        assert seen == _seen(r1=Counters(6, 3, 0, 0))

    def test_a_replica_that_is_new_or_was_started_anew_counts_from_zero(self) -> None:
        first = add(None, _seen(r1=Counters(50, 5)), LIMITS, HOUR)
        assert first.hours == {}
        then = add(first, _seen(r1=Counters(60, 5), r2=Counters(7, 1)), LIMITS, HOUR)
        assert then.hours["titanic"][HOUR] == Counted(17, 1, 0.0)
        again = add(then, _seen(r1=Counters(4, 2), r2=Counters(7, 1)), LIMITS, HOUR)
        assert again.hours["titanic"][HOUR] == Counted(21, 3, 0.0)

    def test_a_replica_that_is_not_seen_for_a_time_goes_on(self) -> None:
        known = add(add(None, {}, LIMITS, HOUR), _seen(r1=Counters(50)), LIMITS, HOUR)
        known = add(known, {}, LIMITS, HOUR)
        soon = HOUR + FORGOTTEN - timedelta(hours=1)
        back = add(known, _seen(r1=Counters(53)), LIMITS, soon)
        assert back.hours["titanic"] == {HOUR: Counted(50), soon: Counted(3)}
        assert add(known, {}, LIMITS, HOUR + FORGOTTEN).replicas == {}

    def test_a_quiet_replica_is_never_forgotten(self) -> None:
        known = add(add(None, {}, LIMITS, HOUR), _seen(r1=Counters(50)), LIMITS, HOUR)
        for hours in range(1, 100):
            known = add(known, _seen(r1=Counters(50)), LIMITS, HOUR + timedelta(hours=hours))
        assert known.hours["titanic"] == {HOUR: Counted(50)}

    def test_old_hours_go(self) -> None:
        known = add(add(None, {}, LIMITS, HOUR), _seen(r1=Counters(50)), LIMITS, HOUR)
        last = HOUR + KEPT - timedelta(hours=1)
        assert HOUR in add(known, {}, LIMITS, last).hours["titanic"]
        assert add(known, {}, LIMITS, HOUR + KEPT).hours["titanic"] == {}

    def test_a_new_objective_begins_with_what_comes(self) -> None:
        known = add(None, {}, {}, HOUR)
        known = add(known, _seen(r1=Counters(50, 50)), LIMITS, HOUR)
        assert known.hours == {}
        known = add(known, _seen(r1=Counters(52, 50)), LIMITS, HOUR)
        assert known.hours["titanic"] == {HOUR: Counted(2)}

    def test_another_limit_makes_nothing_slow_that_was_not(self) -> None:
        known = add(None, _seen(r1=Counters(1000, 0, 0, 0)), LIMITS, HOUR)
        lower = {"titanic": 50.0}
        known = add(known, _seen(r1=Counters(1010, 1, 900, 0)), lower, HOUR)
        assert known.hours["titanic"][HOUR] == Counted(10, 1, 0.0)
        known = add(known, _seen(r1=Counters(1020, 1, 904, 0)), lower, HOUR)
        assert known.hours["titanic"][HOUR] == Counted(20, 1, 4.0)


@dataclass
class Stage:
    """One replica that counts, a worker that looks, and a clock."""

    home: Path
    counts: Counts = field(default_factory=lambda: Counts("r1"))
    now: datetime = AT

    def __post_init__(self) -> None:
        self.start_worker()
        self.service = SloService(self.home, OBJECTIVES, lambda: self.now)

    def start_worker(self) -> None:
        self.watch = SloWatch(self.home, OBJECTIVES, lambda: self.now)

    def answer(self, times: int, status: int = 200, each_s: float = 0.001) -> None:
        for _ in range(times):
            self.counts.note("titanic", "predict", status, each_s)
        write_metrics(metrics_folder(self.home), self.counts.replica, told(self.counts))

    def look(self) -> Budget:
        self.watch.look()
        found = self.service.look("titanic")
        assert found is not None
        return found


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    stage = Stage(tmp_path)
    stage.watch.look()
    return stage


class TestWatch:
    def test_what_replicas_answer_spends_the_budget(self, stage: Stage) -> None:
        stage.answer(195)
        stage.answer(1, 503)
        stage.answer(4, each_s=0.9)
        found = stage.look()
        assert (found.requests, found.errors, found.slow) == (200, 1, pytest.approx(4.0))
        assert (found.spent_errors, found.spent_slow) == (pytest.approx(0.5), pytest.approx(0.4))
        stage.answer(10, 500)
        assert stage.look().is_spent
        stage.now += timedelta(days=6, hours=23)
        assert stage.look().is_spent
        stage.now += timedelta(hours=2)
        assert stage.look().requests == 0

    def test_nobody_has_looked_yet(self, tmp_path: Path) -> None:
        service = Stage(tmp_path).service
        found = service.look("titanic")
        assert found is not None
        assert (found.requests, found.is_spent) == (0, False)
        assert service.look("car_loan") is None

    def test_a_worker_that_is_started_anew_neither_forgets_nor_counts_twice(
        self, stage: Stage
    ) -> None:
        stage.answer(50)
        assert stage.look().requests == 50
        stage.start_worker()
        assert stage.look().requests == 50
        # What came while there was none counts when the next one looks.
        stage.answer(7)
        stage.start_worker()
        assert stage.look().requests == 57

    def test_the_first_look_of_all_is_the_beginning(self, tmp_path: Path) -> None:
        stage = Stage(tmp_path)
        stage.answer(1000, 500)
        assert stage.look().requests == 0
        stage.answer(3)
        assert stage.look().requests == 3

    def test_a_replica_that_is_replaced(self, stage: Stage) -> None:
        stage.answer(20)
        stage.look()
        remove_metrics(metrics_folder(stage.home), "r1")
        stage.counts = Counts("r2")
        stage.answer(5)
        assert stage.look().requests == 25

    def test_a_replica_that_was_stale_and_comes_back_is_counted_once(self, stage: Stage) -> None:
        stage.answer(20)
        stage.look()
        file = metrics_folder(stage.home) / "r1.prom"
        old = time.time() - STALE_S - 1
        os.utime(file, (old, old))
        assert stage.look().requests == 20
        stage.start_worker()
        stage.answer(1)
        assert stage.look().requests == 21

    def test_a_replicas_file_that_cannot_be_read(self, stage: Stage) -> None:
        stage.answer(20)
        (metrics_folder(stage.home) / "broken.prom").mkdir()
        (metrics_folder(stage.home) / "torn.prom").write_text(
            f'# HELP {DURATION} A\n# TYPE {DURATION} histogram\n{DURATION}_bucket{{le="0.', "utf-8"
        )
        assert stage.look().requests == 20

    @pytest.mark.parametrize("text", ["", "{", '{"hours": []}', '{"unknown": 1}'])
    def test_counts_that_cannot_be_read_are_said_and_begun_anew(
        self, stage: Stage, text: str
    ) -> None:
        stage.answer(20)
        stage.look()
        slo_file(stage.home).write_text(text, encoding="utf-8")
        with pytest.raises(UnavailableError, match=r"slo\.json cannot be read\. Remove it"):
            stage.service.look("titanic")
        assert stage.look().requests == 0
        stage.answer(3)
        assert stage.look().requests == 3

    def test_nothing_new_writes_nothing(self, stage: Stage) -> None:
        stage.answer(20)
        stage.look()
        before = slo_file(stage.home).stat().st_ino
        stage.look()
        assert slo_file(stage.home).stat().st_ino == before
        stage.answer(1)
        stage.look()
        assert slo_file(stage.home).stat().st_ino != before
        assert [one.name for one in slo_file(stage.home).parent.iterdir()] == ["slo.json"]

    def test_hours_are_in_utc_whatever_the_clocks_zone(self, stage: Stage) -> None:
        stage.now = AT.astimezone(tz=None)
        stage.answer(5)
        assert stage.look().requests == 5
