"""The worker's look at the load, what it keeps, and what is made of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import pytest

from core.deployment.load_history import MOST_DECISIONS, SHOWN, LoadFiles, Measured, Scaled
from core.deployment.load_view import FRESH, LoadService, view
from core.deployment.load_watch import LoadWatch
from core.deployment.metrics import metrics_folder, write_metrics
from core.deployment.scaling import Cause, Course, ReplicaSet, explain
from core.errors import UnavailableError
from serve.counts import Counts
from tests.unit.load_values import AT, POLICY, later, make_point, replica_set, told


@dataclass
class Stage:
    """One replica that counts, Ray that says how many there are, and a clock."""

    home: Path
    counts: Counts = field(default_factory=lambda: Counts("r1"))
    found: ReplicaSet | None = field(default_factory=replica_set)
    is_down: bool = False
    passed_s: float = 0.0

    def __post_init__(self) -> None:
        self.watch = LoadWatch(self.home, self, lambda: self.passed_s, self.now)
        self.files = LoadFiles(self.home)

    def now(self) -> datetime:
        return later(self.passed_s)

    def replica_set(self) -> ReplicaSet | None:
        if self.is_down:
            raise UnavailableError("Ray's dashboard does not answer.")
        return self.found

    def run(self, seconds: int, requests_per_s: int = 0, each_s: float = 0.1) -> None:
        """Looks every second while so many requests come."""
        for _ in range(seconds):
            self.passed_s += 1
            for _ in range(requests_per_s):
                self.counts.note("titanic", "predict", 200, each_s)
            write_metrics(metrics_folder(self.home), "r1", told(self.counts))
            self.watch.look()


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def test_load_is_measured_over_the_last_seconds(stage: Stage) -> None:
    stage.run(30, requests_per_s=100, each_s=0.2)
    stage.run(5)
    point = stage.files.measured().points[-1]
    # Half of the ten seconds that count were busy.
    assert point.total.rate_per_s == pytest.approx(50.0)
    assert point.problems["titanic"] == point.total
    assert point.in_flight == {"r1": pytest.approx(10.0)}
    assert (point.running, point.target, point.at) == (1, 1, later(35))


def test_a_change_of_target_is_kept_with_its_reason(stage: Stage) -> None:
    stage.run(30, requests_per_s=100, each_s=0.45)
    assert stage.files.scaled().decisions == ()
    stage.found = replica_set(3, ("running", "starting", "starting"))
    stage.run(1, requests_per_s=100, each_s=0.45)
    (up,) = stage.files.scaled().decisions
    assert (up.before, up.after, up.cause) == (1, 3, Cause.LOAD)
    assert "because 45 requests were in flight, against a target of 16 each" in up.sentence
    stage.run(80)
    stage.found = replica_set(1)
    stage.run(3)
    down, first = stage.files.scaled().decisions
    assert first == up
    assert (down.before, down.after, down.cause) == (3, 1, Cause.LOAD)


def test_a_worker_that_was_started_anew_goes_on(stage: Stage) -> None:
    stage.run(3)
    again = Stage(stage.home, found=replica_set(2, ("running", "running")))
    again.run(2)
    (made,) = again.files.scaled().decisions
    assert (made.before, made.after) == (1, 2)
    assert len(again.files.measured().points) > 1


def test_other_bounds_are_seen_and_alone_are_no_decision(stage: Stage) -> None:
    stage.run(2)
    wider = POLICY.model_copy(update={"max_replicas": 4})
    stage.found = replica_set(policy=wider)
    stage.run(2)
    assert stage.files.scaled().decisions == ()
    stage.found = replica_set(2, policy=wider.model_copy(update={"min_replicas": 2}))
    stage.run(2)
    (made,) = stage.files.scaled().decisions
    assert made.cause is Cause.BOUNDS


def test_what_is_measured_is_kept_while_ray_is_down(stage: Stage) -> None:
    stage.run(5, requests_per_s=10)
    stage.is_down = True
    with pytest.raises(UnavailableError):
        stage.run(1, requests_per_s=10)
    point = stage.files.measured().points[-1]
    assert (point.total.requests > 0, point.running, point.target) == (True, None, None)
    stage.is_down, stage.found = False, None
    stage.run(1)
    assert stage.files.scaled().decisions == ()


def test_nothing_grows_without_bound(stage: Stage) -> None:
    measured = Measured()
    for second in range(0, 3600, 30):
        measured = measured.with_point(make_point(later(second)))
    assert measured.points[-1].at - measured.points[0].at < SHOWN
    made = explain(1, 2, (POLICY, POLICY), [], AT)
    stage.files.keep_scaled(Scaled(decisions=(made,) * (MOST_DECISIONS + 5)))
    assert len(stage.files.scaled().decisions) == MOST_DECISIONS


def test_a_broken_file_is_said(stage: Stage) -> None:
    stage.run(3)
    file = stage.home / "load" / "measured.json"
    file.write_text("{", encoding="utf-8")
    with pytest.raises(UnavailableError, match=r"measured\.json cannot be read"):
        LoadService(stage.home, stage, stage.now).look()
    # The worker begins a new one.
    stage.run(1)
    assert len(stage.files.measured().points) == 1


def test_replicas_that_come_up_where_nothing_was_deployed_are_no_decision(stage: Stage) -> None:
    stage.found = replica_set(3, ("running",) * 3)
    stage.run(3)
    for found in (None, replica_set(1)):
        stage.found = found
        stage.run(60)
    assert stage.files.scaled().decisions == ()


def test_the_view_joins_replicas_with_what_was_measured(stage: Stage) -> None:
    stage.run(20, requests_per_s=100, each_s=0.2)
    stage.found = replica_set(2, ("running", "starting"))
    found = LoadService(stage.home, stage, stage.now).look()
    assert (found.target, found.running, found.policy) == (2, 1, POLICY)
    assert [(one.id, one.state, one.in_flight) for one in found.replicas] == [
        ("r1", "running", pytest.approx(20.0)),
        ("r2", "starting", None),
    ]
    assert found.outlook is not None
    assert found.outlook.course is Course.STAYS
    assert found.said().startswith("Stays at 2: 20 requests in flight")
    assert found.traffic == found.problems["titanic"]


def test_old_measurements_say_nothing_of_now() -> None:
    at = later(FRESH.total_seconds() + 1)
    found = view(replica_set(), (make_point(AT),), (), now=at)
    assert (found.traffic, found.in_flight, found.problems) == (None, None, {})
    assert "is not known yet" in found.said()


def test_recent_measurements_are_those_of_the_last_minutes(stage: Stage) -> None:
    stage.run(20)
    service = LoadService(stage.home, stage, stage.now)
    assert service.recent() == stage.files.measured().points
    stage.passed_s += SHOWN.total_seconds() - 5
    assert len(service.recent()) == 6


def test_ray_that_is_down_is_a_value(stage: Stage) -> None:
    stage.run(5, requests_per_s=30)
    stage.is_down = True
    found = LoadService(stage.home, stage, stage.now).look()
    assert (found.target, found.replicas, found.outlook) == (None, (), None)
    assert found.said().startswith("Ray's dashboard does not answer.")
    assert found.traffic is not None
