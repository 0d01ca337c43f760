"""What a piece of work on Spark cost, as it is stored and shown."""

from __future__ import annotations

from core.frozen import Frozen


class Phase(Frozen):
    """A named part of the work; seconds count from its beginning."""

    name: str
    begin_s: float
    end_s: float


class UsagePoint(Frozen):
    """CPU and memory at one moment, summed over processes.

    Cores are CPU seconds per second since the point before. A memory page that two
    processes share counts twice.
    """

    at_s: float
    driver_cores: float
    executor_cores: float
    driver_rss_mb: float
    executor_rss_mb: float
    #: Without Python workers; None in what an older release stored.
    executor_jvm_rss_mb: float | None = None

    @property
    def jvm_rss_mb(self) -> float:
        """Memory of the executors' JVMs, whose heap the profile sets."""
        known = self.executor_jvm_rss_mb
        return self.executor_rss_mb if known is None else known


class ExecutorCourse(Frozen):
    """CPU and memory of one executor, with a value for each of the usage's points.

    One that was restarted has a course of its own; where an executor was not there, it
    used nothing.
    """

    #: Address of its node and the beginning of the node's id in Ray.
    node: str
    pid: int
    cores: tuple[float, ...]
    rss_mb: tuple[float, ...]


class StageCost(Frozen):
    """One stage of Spark, by Spark's own numbers; sums over its tasks."""

    id: int
    #: What Spark was asked for, such as ``gbt: trial 3, fold 2``, or its call site.
    description: str
    begin_s: float
    seconds: float
    tasks: int
    task_s: float
    gc_s: float
    #: Written for other stages and read from them.
    shuffle_mb: float
    #: Memory that was written to disk, as bytes on disk.
    spilled_mb: float
    peak_execution_memory_mb: float
    #: Longest task over the median task; None with fewer than two tasks.
    skew: float | None


class Usage(Frozen):
    """The bill of one piece of work that had ``cores`` executor cores.

    ``core_seconds`` is CPU time of the driver and all executors while they were watched,
    ``peak_rss_mb`` the most memory they held at one moment, together.
    ``mean_utilization`` is core-seconds per second and core of the profile; the driver
    comes on top of the executors, so it may pass 1. ``gc_share`` is garbage collection
    over task time, ``peak_execution_memory_mb`` that of the worst stage, ``stages`` how many
    finished. ``slowest`` holds the stages that took longest, longest first.
    """

    cores: int
    wall_s: float
    core_seconds: float
    peak_rss_mb: float
    mean_utilization: float
    task_s: float
    gc_s: float
    gc_share: float
    shuffle_mb: float
    spilled_mb: float
    peak_execution_memory_mb: float
    stages: int
    phases: tuple[Phase, ...]
    points: tuple[UsagePoint, ...]
    slowest: tuple[StageCost, ...]
    #: In the order in which they were first seen; none in what an older release stored.
    executors: tuple[ExecutorCourse, ...] = ()
