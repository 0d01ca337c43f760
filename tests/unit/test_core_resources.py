"""What work on Spark costs: the sum over samples, and reading of processes of the test's own."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import time
from itertools import pairwise

import psutil
import pytest

from core.training.process_reader import ProcessReader, Reading
from core.training.resources import (
    MAX_POINTS,
    SLOWEST_STAGES,
    Part,
    Sample,
    Ticker,
    summarize,
)
from core.training.usage import Phase, StageCost, Usage

D, E = Part.DRIVER, Part.EXECUTOR


def at(at_s: float, node: str, pid: int, part: Part, cpu_s: float, rss_mb: float = 1.0) -> Sample:
    return Sample(at_s, node, part, Reading(pid, cpu_s, rss_mb, rss_mb / 2))


def stage(number: int, seconds: float = 1.0, **changes: float) -> StageCost:
    zero = dict.fromkeys(
        ("task_s", "gc_s", "shuffle_mb", "spilled_mb", "peak_execution_memory_mb"), 0.0
    )
    names = {"id": number, "description": f"stage {number}", "tasks": 2, "skew": None}
    return StageCost(**names, begin_s=float(number), seconds=seconds, **(zero | changes))


def bill(samples: list[Sample], *stages: StageCost, cores: int = 1) -> Usage:
    usage = summarize(samples, [], stages, cores)
    assert usage is not None
    return usage


def cores_over_time(usage: Usage) -> list[tuple[float, float, float]]:
    return [(point.at_s, point.driver_cores, point.executor_cores) for point in usage.points]


def test_cpu_is_counted_from_the_first_look_and_memory_at_its_worst_moment() -> None:
    usage = bill(
        [
            at(0.0, "a", 1, D, 10.0, 100.0),
            at(0.0, "a", 2, E, 5.0, 300.0),
            at(4.0, "a", 1, D, 12.0, 500.0),
            at(4.0, "a", 2, E, 11.0, 250.0),
            at(8.0, "a", 1, D, 13.0, 200.0),
        ],
        cores=2,
    )
    assert (usage.wall_s, usage.peak_rss_mb, usage.cores) == (8.0, 750.0, 2)
    assert usage.core_seconds == pytest.approx(3.0 + 6.0)
    assert usage.mean_utilization == pytest.approx(9.0 / 16.0)
    assert cores_over_time(usage) == [(4.0, 0.5, 1.5), (8.0, 0.25, 0.0)]
    first, second = usage.points
    assert (first.driver_rss_mb, first.executor_rss_mb) == (500.0, 250.0)
    assert first.jvm_rss_mb == 125.0
    assert (second.driver_rss_mb, second.executor_rss_mb) == (200.0, 0.0)


@pytest.mark.parametrize("samples", [[], [at(0.0, "a", 1, D, 1.0)]])
def test_without_a_span_there_is_no_bill(samples: list[Sample]) -> None:
    assert summarize(samples, [], [stage(1)], cores=1) is None


def test_a_pid_is_another_process_on_another_node() -> None:
    usage = bill(
        [
            at(0.0, "a", 7, E, 100.0, 10.0),
            at(0.0, "b", 7, E, 1.0, 20.0),
            at(2.0, "a", 7, E, 101.0, 10.0),
            at(2.0, "b", 7, E, 4.0, 25.0),
        ]
    )
    assert usage.core_seconds == pytest.approx(1.0 + 3.0)
    assert usage.peak_rss_mb == 35.0
    assert cores_over_time(usage) == [(2.0, 0.0, 2.0)]


def test_a_restarted_executor_is_counted_anew() -> None:
    usage = bill(
        [
            at(0.0, "a", 2, E, 50.0, 100.0),
            at(1.0, "a", 2, E, 52.0, 100.0),
            at(2.0, "a", 3, E, 1.0, 40.0),
            at(3.0, "a", 3, E, 4.0, 60.0),
        ]
    )
    assert usage.core_seconds == pytest.approx(2.0 + 3.0)
    assert usage.peak_rss_mb == 100.0
    assert cores_over_time(usage) == [(1.0, 0.0, 2.0), (2.0, 0.0, 0.0), (3.0, 0.0, 3.0)]


def test_each_executor_has_a_course_of_its_own_with_its_node() -> None:
    usage = bill(
        [
            at(0.0, "a", 1, D, 0.0, 10.0),
            at(0.0, "a", 2, E, 0.0, 100.0),
            at(0.0, "b", 2, E, 5.0, 300.0),
            at(1.0, "a", 1, D, 0.5, 10.0),
            at(1.0, "a", 2, E, 1.0, 150.0),
            at(1.0, "b", 2, E, 5.5, 350.0),
            at(2.0, "a", 1, D, 1.0, 10.0),
            at(2.0, "a", 2, E, 1.25, 120.0),
            at(2.0, "b", 3, E, 0.0, 50.0),
            at(3.0, "b", 3, E, 0.75, 60.0),
        ]
    )
    assert [(one.node, one.pid) for one in usage.executors] == [("a", 2), ("b", 2), ("b", 3)]
    assert [one.cores for one in usage.executors] == [
        (1.0, 0.25, 0.0),
        (0.5, 0.0, 0.0),
        (0.0, 0.0, 0.75),
    ]
    assert [one.rss_mb for one in usage.executors] == [
        (150.0, 120.0, 0.0),
        (350.0, 0.0, 0.0),
        (0.0, 50.0, 60.0),
    ]
    for index, point in enumerate(usage.points):
        assert sum(one.cores[index] for one in usage.executors) == point.executor_cores
        assert sum(one.rss_mb[index] for one in usage.executors) == point.executor_rss_mb


def test_a_node_that_answers_late_is_taken_to_have_worked_evenly() -> None:
    usage = bill(
        [
            at(0.0, "a", 1, D, 0.0, 10.0),
            at(0.0, "b", 2, E, 0.0, 200.0),
            at(1.0, "a", 1, D, 1.0, 90.0),
            at(3.0, "a", 1, D, 2.0, 10.0),
            at(3.0, "b", 2, E, 6.0, 100.0),
        ]
    )
    assert cores_over_time(usage) == [(1.0, 1.0, 2.0), (3.0, 0.5, 2.0)]
    assert (usage.points[0].executor_rss_mb, usage.points[0].jvm_rss_mb) == (200.0, 100.0)
    assert usage.peak_rss_mb == 290.0
    assert usage.core_seconds == pytest.approx(8.0)


def test_a_last_look_that_comes_soon_makes_no_point_of_its_own() -> None:
    usage = bill([at(t, "a", 1, D, cpu) for t, cpu in ((0, 0.0), (1, 1.0), (2, 2.0), (2.01, 2.03))])
    assert usage.wall_s == 2.01
    assert [point.at_s for point in usage.points] == [1.0, 2.01]
    assert usage.points[-1].driver_cores == pytest.approx(1.03 / 1.01)


def test_long_work_gets_fewer_points_that_still_add_up() -> None:
    looks = 5_000
    usage = bill([at(t, "a", 1, D, t * 0.25, float(t % 1000)) for t in range(looks)])
    assert MAX_POINTS / 2 < len(usage.points) <= MAX_POINTS
    ends = [0.0, *(point.at_s for point in usage.points)]
    lengths = [after - before for before, after in pairwise(ends)]
    area = sum(
        length * point.driver_cores for length, point in zip(lengths, usage.points, strict=True)
    )
    assert area == pytest.approx(usage.core_seconds) == pytest.approx((looks - 1) * 0.25)
    assert max(point.driver_rss_mb for point in usage.points) == usage.peak_rss_mb == 999.0


def test_stages_are_summed_and_the_slowest_are_kept() -> None:
    span = [at(0.0, "a", 1, D, 0.0), at(1.0, "a", 1, D, 0.0)]
    stages = [
        stage(1, task_s=3.0, gc_s=0.5, shuffle_mb=2.0, peak_execution_memory_mb=64.0),
        stage(2, task_s=5.0, gc_s=1.5, spilled_mb=7.0, peak_execution_memory_mb=16.0),
    ]
    usage = bill(span, *stages)
    assert (usage.task_s, usage.gc_s, usage.gc_share) == (8.0, 2.0, 0.25)
    assert (usage.shuffle_mb, usage.spilled_mb, usage.stages) == (2.0, 7.0, 2)
    assert usage.peak_execution_memory_mb == 64.0
    many = [stage(number, seconds=float(number % 50)) for number in range(100)]
    slowest = bill(span, *many).slowest
    assert [one.id for one in slowest][:4] == [49, 99, 48, 98]
    assert len(slowest) == SLOWEST_STAGES
    assert (bill(span).gc_share, bill(span).slowest) == (0.0, ())


def test_phases_are_kept() -> None:
    phases = (Phase(name="train", begin_s=0.5, end_s=0.75),)
    usage = summarize([at(0.0, "a", 1, D, 0.0), at(1.0, "a", 1, D, 0.0)], phases, [], 1)
    assert usage is not None
    assert usage.phases == phases


def test_a_busy_process_is_seen_at_work_and_one_that_is_gone_is_left_out() -> None:
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    reader = ProcessReader()
    try:
        (first,) = reader.read([gone.pid, busy.pid])
        deadline = time.monotonic() + 20
        while True:
            (now,) = reader.read([gone.pid, busy.pid])
            if now.cpu_s > first.cpu_s + 0.1:
                break
            assert time.monotonic() < deadline
            time.sleep(0.02)
    finally:
        busy.kill()
        busy.wait()
    assert (first.pid, now.pid) == (busy.pid, busy.pid)
    assert now.rss_mb > 1
    assert reader.read([busy.pid]) == ()


#: Starts a child that works for a while, waits for its end, says so and stays.
PARENT = """
import subprocess, sys, time
subprocess.run([sys.executable, "-c", "import time\\nwhile time.process_time() < 0.4: pass"])
print("done", flush=True)
time.sleep(60)
"""


def test_a_process_is_read_with_its_children_and_keeps_what_they_used() -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE)
    reader = ProcessReader(refresh_s=0.0)
    try:
        seen = [reader.read([parent.pid])[0].cpu_s]
        alone = psutil.Process(parent.pid).memory_info().rss / 2**20
        deadline = time.monotonic() + 20
        both = own = 0.0
        while not psutil.Process(parent.pid).children() and time.monotonic() < deadline:
            time.sleep(0.01)
        while psutil.Process(parent.pid).children() and time.monotonic() < deadline:
            (now,) = reader.read([parent.pid])
            if now.rss_mb > both:
                both, own = now.rss_mb, now.own_rss_mb
            seen.append(now.cpu_s)
            time.sleep(0.02)
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"done\n"
        seen.append(reader.read([parent.pid])[0].cpu_s)
    finally:
        parent.kill()
        parent.communicate()
    # Never less than before, and no more once the child's time is with its parent.
    assert seen == sorted(seen)
    assert 0.3 <= seen[-1] - seen[0] < 0.75
    assert both > alone
    assert 0 < own < both


def test_a_child_whose_life_falls_between_two_looks_is_counted() -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE)
    reader = ProcessReader(refresh_s=3600.0)
    try:
        (before,) = reader.read([parent.pid])
        assert parent.stdout is not None
        parent.stdout.readline()
        (after,) = reader.read([parent.pid])
    finally:
        parent.kill()
        parent.communicate()
    assert after.cpu_s - before.cpu_s >= 0.3


def test_a_failure_ends_no_ticking_and_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    ticks = 0
    enough = threading.Event()

    def work() -> None:
        nonlocal ticks
        ticks += 1
        if ticks < 3:
            raise RuntimeError("the cluster does not answer")
        enough.set()

    ticker = Ticker(work, interval_s=0.001)
    with caplog.at_level(logging.WARNING):
        ticker.start()
        assert enough.wait(20)
        assert ticker.stop(20)
    assert len(caplog.records) == 1
    assert ticker.cpu_s > 0


def test_ticking_that_never_began_can_be_stopped_and_one_that_hangs_says_so() -> None:
    assert Ticker(lambda: None).stop(1)
    go_on, hangs = threading.Event(), threading.Event()

    def work() -> None:
        hangs.set()
        go_on.wait(20)

    ticker = Ticker(work, interval_s=0.001)
    ticker.start()
    assert hangs.wait(20)
    assert not ticker.stop(0.01)
    go_on.set()
    assert ticker.stop(20)
