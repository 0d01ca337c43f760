"""Small sweeps for tests, and the recorded one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from core.params import Profile
from core.training.resources_page import read_report
from core.training.sweep_report import BoostingPoint, SweepMeasurement, SweepReport
from core.training.usage import StageCost, Usage, UsagePoint

RECORDED = Path(__file__).parent / "recorded" / "titanic_sweep.json"
SMALL = Profile(name="1c-1g", executors=1, cores=1, memory_mb=1024)
MIDDLE = Profile(name="2c-2g", executors=1, cores=2, memory_mb=2048)
LARGE = Profile(name="4c-4g", executors=2, cores=4, memory_mb=4096)


def recorded_report() -> SweepReport:
    """The sweep that docs/resources.md was made of."""
    return read_report(RECORDED)


def stage_of(**changed: object) -> StageCost:
    stage = StageCost(
        id=12,
        description="gbt: fold 2",
        begin_s=0.0,
        seconds=2.0,
        tasks=4,
        task_s=4.0,
        gc_s=0.0,
        shuffle_mb=0.0,
        spilled_mb=0.0,
        peak_execution_memory_mb=1.0,
        skew=1.0,
    )
    return stage.model_copy(update=changed)


def usage_of(
    cores: int = 2,
    seconds: float = 10.0,
    utilization: float = 0.7,
    executor_rss_mb: float = 1600.0,
    **changed: object,
) -> Usage:
    """A bill that gives no reason to change anything."""
    point = UsagePoint(
        at_s=1.0,
        driver_cores=0.2,
        executor_cores=1.0,
        driver_rss_mb=600.0,
        executor_rss_mb=executor_rss_mb,
    )
    usage = Usage(
        cores=cores,
        wall_s=seconds,
        core_seconds=utilization * seconds * cores,
        peak_rss_mb=600.0 + executor_rss_mb,
        mean_utilization=utilization,
        task_s=10.0,
        gc_s=0.2,
        gc_share=0.02,
        shuffle_mb=1.0,
        spilled_mb=0.0,
        peak_execution_memory_mb=1.0,
        stages=10,
        phases=(),
        points=(point,),
        slowest=(stage_of(),),
    )
    return usage.model_copy(update=changed)


def measured(
    profile: Profile = MIDDLE,
    family: str = "gbt",
    repeat: int = 1,
    seconds: float = 10.0,
    auc: float = 0.85,
    error: float | None = 0.01,
    utilization: float = 0.7,
    **usage: object,
) -> SweepMeasurement:
    return SweepMeasurement(
        profile=profile,
        family=family,
        repeat=repeat,
        cv_auc=auc,
        cv_auc_standard_error=error,
        candidates=4,
        start_seconds=20.0,
        seconds=seconds,
        usage=usage_of(profile.cores, seconds, utilization).model_copy(update=usage),
    )


def sweep_of(
    *measurements: SweepMeasurement,
    physical_cores: int = 4,
    boosting: tuple[BoostingPoint, ...] = (),
) -> SweepReport:
    return SweepReport(
        problem="plums",
        started_at=datetime(2026, 11, 21, 9, 0, tzinfo=UTC),
        physical_cores=physical_cores,
        train_rows=80,
        folds=3,
        git_commit="0" * 40,
        measurements=measurements,
        boosting=boosting,
    )


def curve_of(depth: int, *auc: float) -> tuple[BoostingPoint, ...]:
    """Cuts after 1, 11, 21, ... iterations; each iteration takes a tenth of a second."""
    return tuple(
        BoostingPoint(
            max_depth=depth, iterations=1 + 10 * i, cv_auc=value, seconds=(1 + 10 * i) / 10
        )
        for i, value in enumerate(auc)
    )


def edited(
    report: SweepReport, change: Callable[[SweepMeasurement], SweepMeasurement]
) -> SweepReport:
    """The report with every measurement changed."""
    changed = tuple(change(one) for one in report.measurements)
    return report.model_copy(update={"measurements": changed})
