"""What a run costs in cores, memory and time.

A thread looks at the run's processes once a second; what it saw is summed up by a pure
function. One look costs psutil about 20 microseconds a process.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import psutil

LOG = logging.getLogger(__name__)
INTERVAL_S = 1.0


class Part(StrEnum):
    """Which part of Spark a process is."""

    DRIVER = "driver"
    EXECUTOR = "executor"


@dataclass(frozen=True)
class Sample:
    """One process at one moment; ``cpu_s`` counts from the start of the process."""

    at_s: float
    pid: int
    part: Part
    cpu_s: float
    rss_mb: float


@dataclass(frozen=True)
class ResourceUsage:
    """The sum of a run's samples.

    ``core_seconds`` is CPU time of all its processes while they were watched,
    ``peak_rss_mb`` the most memory they held at one moment, together. A page that two
    processes share counts twice. ``mean_utilization`` is core-seconds per second and
    core of the profile; driver and executors share them, so it may pass 1.
    """

    wall_s: float
    core_seconds: float
    peak_rss_mb: float
    mean_utilization: float


def summarize(samples: Sequence[Sample], cores: int) -> ResourceUsage | None:
    """Sums up samples of a run that had ``cores`` cores; ``None`` if there is no span."""
    if not samples:
        return None
    moments: dict[float, float] = defaultdict(float)
    first: dict[int, float] = {}
    last: dict[int, float] = {}
    for sample in samples:
        moments[sample.at_s] += sample.rss_mb
        first.setdefault(sample.pid, sample.cpu_s)
        last[sample.pid] = sample.cpu_s
    wall_s = max(moments) - min(moments)
    if wall_s <= 0:
        return None
    core_seconds = sum(last[pid] - first[pid] for pid in first)
    return ResourceUsage(
        wall_s=wall_s,
        core_seconds=core_seconds,
        peak_rss_mb=max(moments.values()),
        mean_utilization=core_seconds / (wall_s * cores),
    )


class Sampler(threading.Thread):
    """Watches processes until stopped. Use as a context manager; read ``samples`` after it.

    ``find`` gives the run's processes on this node and is asked at every look, because
    Ray may restart an executor. A look that fails is left out: a run does not end for
    want of its bill.
    """

    def __init__(
        self, find: Callable[[], Mapping[int, Part]], interval_s: float = INTERVAL_S
    ) -> None:
        super().__init__(name="resource-sampler", daemon=True)
        self._find = find
        self._interval_s = interval_s
        self._done = threading.Event()
        self._known: dict[int, psutil.Process] = {}
        self.samples: list[Sample] = []

    def __enter__(self) -> Sampler:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self.join()

    def run(self) -> None:
        """Looks, waits, looks again."""
        began = time.monotonic()
        failed = False
        while not self._done.is_set():
            try:
                self._look(time.monotonic() - began)
            except Exception:
                if not failed:
                    LOG.warning("the run's resources cannot be sampled", exc_info=True)
                failed = True
            self._done.wait(self._interval_s)

    def _look(self, at_s: float) -> None:
        for pid, part in self._find().items():
            try:
                process = self._known.setdefault(pid, psutil.Process(pid))
                with process.oneshot():
                    times = process.cpu_times()
                    rss_mb = process.memory_info().rss / 2**20
            except psutil.Error:
                continue
            self.samples.append(Sample(at_s, pid, part, times.user + times.system, rss_mb))
