"""What a run costs: the sum over samples, and a sampler on a process of the test's own."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from core.training.resources import Part, Sample, Sampler, summarize

D, E = Part.DRIVER, Part.EXECUTOR


def test_cpu_is_counted_from_the_first_look_and_memory_at_its_worst_moment() -> None:
    samples = [
        Sample(0.0, 1, D, 10.0, 100.0),
        Sample(0.0, 2, E, 5.0, 300.0),
        Sample(4.0, 1, D, 12.0, 500.0),
        Sample(4.0, 2, E, 11.0, 250.0),
        Sample(8.0, 1, D, 13.0, 200.0),
    ]
    usage = summarize(samples, cores=2)
    assert usage is not None
    assert usage.wall_s == 8.0
    assert usage.core_seconds == pytest.approx(3.0 + 6.0)
    assert usage.peak_rss_mb == 750.0
    assert usage.mean_utilization == pytest.approx(9.0 / 16.0)


@pytest.mark.parametrize("samples", [[], [Sample(0.0, 1, D, 1.0, 1.0)]])
def test_without_a_span_there_is_no_bill(samples: list[Sample]) -> None:
    assert summarize(samples, cores=1) is None


def test_a_restarted_executor_is_counted_anew() -> None:
    samples = [
        Sample(0.0, 2, E, 50.0, 1.0),
        Sample(1.0, 2, E, 52.0, 1.0),
        Sample(2.0, 3, E, 1.0, 1.0),
        Sample(3.0, 3, E, 4.0, 1.0),
    ]
    usage = summarize(samples, cores=1)
    assert usage is not None
    assert usage.core_seconds == pytest.approx(5.0)


def test_a_busy_process_is_seen_at_work() -> None:
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        with Sampler(lambda: {busy.pid: E}, interval_s=0.02) as sampler:
            deadline = time.monotonic() + 20
            while time.monotonic() < deadline:
                usage = summarize(sampler.samples, cores=1)
                if usage is not None and usage.core_seconds > 0.1:
                    break
                time.sleep(0.02)
    finally:
        busy.kill()
        busy.wait()
    usage = summarize(sampler.samples, cores=1)
    assert usage is not None
    assert usage.core_seconds > 0.1
    assert usage.peak_rss_mb > 1


def test_a_process_that_is_gone_and_a_search_that_fails_end_nothing() -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    looks = 0

    def find() -> dict[int, Part]:
        nonlocal looks
        looks += 1
        if looks == 1:
            raise RuntimeError("the cluster does not answer")
        return {gone.pid: E}

    with Sampler(find, interval_s=0.01) as sampler:
        deadline = time.monotonic() + 20
        while looks < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
    assert looks >= 3
    assert sampler.samples == []
