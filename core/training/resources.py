"""What work on Spark costs in cores, memory and time.

Processes are looked at once a second; what was seen is summed up by a pure function.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise
from typing import NamedTuple

from core.training.process_reader import Reading
from core.training.usage import ExecutorCourse, Phase, StageCost, Usage, UsagePoint

LOG = logging.getLogger(__name__)
INTERVAL_S = 1.0
MAX_POINTS = 600
#: Looks that are closer together, such as the last two, make one point: the kernel counts
#: CPU time in hundredths of a second, which is noise when divided by little.
LEAST_STEP_S = 0.75
SLOWEST_STAGES = 10


class Part(StrEnum):
    """Which part of Spark a process is."""

    DRIVER = "driver"
    EXECUTOR = "executor"


@dataclass(frozen=True)
class Sample:
    """A process, which ``node`` and ``pid`` name together, at one moment.

    ``at_s`` counts from the beginning of the work and is the same for all samples of one
    look.
    """

    at_s: float
    node: str
    part: Part
    reading: Reading


class _Process(NamedTuple):
    part: Part
    node: str
    pid: int


@dataclass
class _Moment:
    """One look. ``cpu_s`` is what each process used since the look before."""

    at_s: float
    cpu_s: dict[_Process, float] = field(default_factory=lambda: defaultdict(float))
    rss_mb: dict[_Process, float] = field(default_factory=dict)
    #: Without what descends from each.
    own_rss_mb: dict[_Process, float] = field(default_factory=dict)


@dataclass(frozen=True)
class _Span:
    """Looks that follow each other and make one point; it begins where the one before ends."""

    begin_s: float
    moments: Sequence[_Moment]

    @property
    def end_s(self) -> float:
        return self.moments[-1].at_s

    def cores(self, processes: Sequence[_Process]) -> float:
        """Mean of what they used together."""
        used_s = sum(m.cpu_s.get(one, 0.0) for m in self.moments for one in processes)
        return used_s / (self.end_s - self.begin_s)

    def rss_mb(self, processes: Sequence[_Process]) -> float:
        """The most they held together at one look."""
        return max(sum(m.rss_mb.get(one, 0.0) for one in processes) for m in self.moments)

    def own_rss_mb(self, processes: Sequence[_Process]) -> float:
        """The same, without what descends from them."""
        return max(sum(m.own_rss_mb.get(one, 0.0) for one in processes) for m in self.moments)


def summarize(
    samples: Sequence[Sample],
    phases: Sequence[Phase],
    stages: Sequence[StageCost],
    cores: int,
) -> Usage | None:
    """Sums up work that had ``cores`` executor cores; ``None`` if its samples have no span."""
    moments = _moments(samples)
    if len(moments) < 2:
        return None
    wall_s = moments[-1].at_s - moments[0].at_s
    core_seconds = sum(sum(moment.cpu_s.values()) for moment in moments)
    task_s = sum(stage.task_s for stage in stages)
    gc_s = sum(stage.gc_s for stage in stages)
    slowest = sorted(stages, key=lambda stage: (-stage.seconds, stage.id))
    processes = list(dict.fromkeys(one for moment in moments for one in moment.rss_mb))
    spans = _spans(moments)
    return Usage(
        cores=cores,
        wall_s=wall_s,
        core_seconds=core_seconds,
        peak_rss_mb=max(sum(moment.rss_mb.values()) for moment in moments),
        mean_utilization=core_seconds / (wall_s * cores),
        task_s=task_s,
        gc_s=gc_s,
        gc_share=gc_s / task_s if task_s else 0.0,
        shuffle_mb=sum(stage.shuffle_mb for stage in stages),
        spilled_mb=sum(stage.spilled_mb for stage in stages),
        peak_execution_memory_mb=max((s.peak_execution_memory_mb for s in stages), default=0.0),
        stages=len(stages),
        phases=tuple(phases),
        points=_points(spans, processes),
        slowest=tuple(slowest[:SLOWEST_STAGES]),
        executors=_courses(spans, processes),
    )


def _moments(samples: Sequence[Sample]) -> list[_Moment]:
    """Looks in order.

    Where a look missed a process that was seen again later, the process is taken to have
    worked evenly and to have kept its memory. A process that replaces another has a pid
    of its own; what it used before it was first seen is not counted.
    """
    moments = [_Moment(at_s) for at_s in sorted({sample.at_s for sample in samples})]
    places = {moment.at_s: place for place, moment in enumerate(moments)}
    seen: dict[_Process, list[Sample]] = defaultdict(list)
    for sample in sorted(samples, key=lambda one: one.at_s):
        process = _Process(sample.part, sample.node, sample.reading.pid)
        seen[process].append(sample)
        moment = moments[places[sample.at_s]]
        moment.rss_mb[process] = sample.reading.rss_mb
        moment.own_rss_mb[process] = sample.reading.own_rss_mb
    for process, course in seen.items():
        for before, after in pairwise(course):
            used_s = after.reading.cpu_s - before.reading.cpu_s
            gap = moments[places[before.at_s] : places[after.at_s] + 1]
            for earlier, later in pairwise(gap):
                share = (later.at_s - earlier.at_s) / (after.at_s - before.at_s)
                later.cpu_s[process] += share * used_s
            for missed in gap[1:-1]:
                missed.rss_mb[process] = before.reading.rss_mb
                missed.own_rss_mb[process] = before.reading.own_rss_mb
    return moments


def _spans(moments: Sequence[_Moment]) -> list[_Span]:
    """A span for each look but the first; long work gets fewer, over several looks each."""
    step_s = max(LEAST_STEP_S, (moments[-1].at_s - moments[0].at_s) / MAX_POINTS)
    begins_s = [moments[0].at_s]
    groups: list[list[_Moment]] = [[]]
    for moment in moments[1:]:
        groups[-1].append(moment)
        if moment.at_s - begins_s[-1] >= step_s:
            groups.append([])
            begins_s.append(moment.at_s)
    rest = groups.pop()
    if groups:
        groups[-1] += rest
    else:
        groups = [rest]
    return [_Span(begin_s, group) for begin_s, group in zip(begins_s, groups, strict=False)]


def _points(spans: Sequence[_Span], processes: Sequence[_Process]) -> tuple[UsagePoint, ...]:
    drivers, executors = (
        [one for one in processes if one.part is part] for part in (Part.DRIVER, Part.EXECUTOR)
    )
    return tuple(
        UsagePoint(
            at_s=span.end_s,
            driver_cores=span.cores(drivers),
            executor_cores=span.cores(executors),
            driver_rss_mb=span.rss_mb(drivers),
            executor_rss_mb=span.rss_mb(executors),
            executor_jvm_rss_mb=span.own_rss_mb(executors),
        )
        for span in spans
    )


def _courses(spans: Sequence[_Span], processes: Sequence[_Process]) -> tuple[ExecutorCourse, ...]:
    return tuple(
        ExecutorCourse(
            node=one.node,
            pid=one.pid,
            cores=tuple(span.cores([one]) for span in spans),
            rss_mb=tuple(span.rss_mb([one]) for span in spans),
        )
        for one in processes
        if one.part is Part.EXECUTOR
    )


class Ticker(threading.Thread):
    """Does something every ``interval_s`` seconds until stopped.

    A failure is logged, the first time, and does not end it: work does not fail for want
    of its bill.
    """

    def __init__(self, work: Callable[[], None], interval_s: float = INTERVAL_S) -> None:
        super().__init__(name="ticker", daemon=True)
        self._work = work
        self._interval_s = interval_s
        self._done = threading.Event()
        self._failed = False
        #: CPU time of the thread so far.
        self.cpu_s = 0.0

    def stop(self, timeout_s: float) -> bool:
        """Ends it; says whether it came to its end in time."""
        self._done.set()
        if self.is_alive():
            self.join(timeout_s)
        return not self.is_alive()

    def run(self) -> None:
        """Waits, works, waits again."""
        while not self._done.wait(self._interval_s):
            try:
                self._work()
            except Exception:
                if not self._failed:
                    LOG.warning("what the work costs cannot be read", exc_info=True)
                self._failed = True
            self.cpu_s = time.thread_time()
