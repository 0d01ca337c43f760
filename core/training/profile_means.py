"""A sweep's measurements with their repeats brought together. Pure functions of values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from core.params import Profile
from core.training.sweep_report import SweepMeasurement, SweepReport


@dataclass(frozen=True)
class ProfileMean:
    """One family with one profile, over its repeats.

    Seconds, core-seconds and AUC are means; memory and spill are the most of any repeat.
    """

    profile: Profile
    family: str
    repeats: int
    candidates: int
    cv_auc: float
    seconds: float
    #: Longest repeat less the shortest.
    seconds_range: float
    core_seconds: float
    peak_rss_mb: float
    #: CPU seconds per second and core of the profile, the driver's among them.
    utilization: float
    gc_share: float
    spilled_mb: float


@dataclass(frozen=True)
class ProfileTotal:
    """One profile, all families one after another.

    ``seconds`` holds one value a repeat; the other figures are as in ``ProfileMean``, over
    all families.
    """

    profile: Profile
    seconds: tuple[float, ...]
    start_seconds: float
    core_seconds: float
    #: Of the executors alone, together.
    peak_executor_rss_mb: float
    #: Of their JVMs, without Python workers.
    peak_jvm_rss_mb: float
    #: CPU seconds per second and core of the profile, the driver's among them.
    utilization: float
    #: Seconds of tasks per second and core: what the executors' cores were used for.
    task_share: float
    gc_share: float
    spilled_mb: float

    @property
    def mean_seconds(self) -> float:
        """Mean over the repeats."""
        return fmean(self.seconds)

    @property
    def seconds_range(self) -> float:
        """Longest repeat less the shortest; 0 with one repeat."""
        return max(self.seconds) - min(self.seconds)


def profile_means(report: SweepReport) -> tuple[ProfileMean, ...]:
    """Means by profile and family, in the order of the measurements."""
    groups: dict[tuple[str, str], list[SweepMeasurement]] = {}
    for one in report.measurements:
        groups.setdefault((one.profile.name, one.family), []).append(one)
    return tuple(_mean(group) for group in groups.values())


def _mean(group: Sequence[SweepMeasurement]) -> ProfileMean:
    seconds = [one.seconds for one in group]
    return ProfileMean(
        profile=group[0].profile,
        family=group[0].family,
        repeats=len(group),
        candidates=group[0].candidates,
        cv_auc=fmean(one.cv_auc for one in group),
        seconds=fmean(seconds),
        seconds_range=max(seconds) - min(seconds),
        core_seconds=fmean(one.usage.core_seconds for one in group),
        peak_rss_mb=max(one.usage.peak_rss_mb for one in group),
        utilization=_utilization(group),
        gc_share=_gc_share(group),
        spilled_mb=max(one.usage.spilled_mb for one in group),
    )


def profile_totals(report: SweepReport) -> tuple[ProfileTotal, ...]:
    """Totals by profile, in the order of the measurements."""
    groups: dict[str, list[SweepMeasurement]] = {}
    for one in report.measurements:
        groups.setdefault(one.profile.name, []).append(one)
    return tuple(_total(group) for group in groups.values())


def _total(group: Sequence[SweepMeasurement]) -> ProfileTotal:
    repeats = sorted({one.repeat for one in group})
    starts = {one.repeat: one.start_seconds for one in group}
    return ProfileTotal(
        profile=group[0].profile,
        seconds=tuple(sum(m.seconds for m in group if m.repeat == number) for number in repeats),
        start_seconds=fmean(starts.values()),
        core_seconds=sum(one.usage.core_seconds for one in group) / len(repeats),
        peak_executor_rss_mb=max(
            (point.executor_rss_mb for one in group for point in one.usage.points), default=0.0
        ),
        peak_jvm_rss_mb=max(
            (point.jvm_rss_mb for one in group for point in one.usage.points), default=0.0
        ),
        utilization=_utilization(group),
        task_share=_task_share(group),
        gc_share=_gc_share(group),
        spilled_mb=sum(one.usage.spilled_mb for one in group),
    )


def _utilization(group: Sequence[SweepMeasurement]) -> float:
    """Long measurements count for more: core-seconds over all seconds and cores."""
    offered = _offered_core_seconds(group)
    return sum(one.usage.core_seconds for one in group) / offered if offered else 0.0


def _task_share(group: Sequence[SweepMeasurement]) -> float:
    offered = _offered_core_seconds(group)
    return sum(one.usage.task_s for one in group) / offered if offered else 0.0


def _offered_core_seconds(group: Sequence[SweepMeasurement]) -> float:
    return sum(one.usage.wall_s * one.usage.cores for one in group)


def _gc_share(group: Sequence[SweepMeasurement]) -> float:
    task_s = sum(one.usage.task_s for one in group)
    return sum(one.usage.gc_s for one in group) / task_s if task_s else 0.0
