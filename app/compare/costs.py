"""What work on Spark cost, as tables and sentences."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import timedelta

import pandas as pd

from app.components import words
from core.training.profile_means import profile_means
from core.training.stage_times import StageTimes
from core.training.sweep_report import SweepReport
from core.training.usage import StageCost, Usage

#: A stage whose longest task took so many times the median waited for that task.
_SKEWED = 2.0
_TENTH_MIB = 0.05


def means_frame(report: SweepReport) -> pd.DataFrame:
    """A row a profile and family, the means of their repeats."""
    means = profile_means(report)
    return pd.DataFrame(
        {
            "Profile": [words.profile_label(one.profile, report.physical_cores) for one in means],
            "Family": [words.family_name(one.family) for one in means],
            "Repeats": [one.repeats for one in means],
            "AUC": [one.cv_auc for one in means],
            "Time (s)": [one.seconds for one in means],
            "Core-seconds": [one.core_seconds for one in means],
            "Peak memory (MiB)": [one.peak_rss_mb for one in means],
            "Utilization": [one.utilization for one in means],
            "GC share": [one.gc_share for one in means],
            "Spilled (MiB)": [one.spilled_mb for one in means],
        }
    )


def stage_times_frame(times: StageTimes) -> pd.DataFrame:
    """A row a stage of a run, in order."""
    return pd.DataFrame(
        {
            "Stage": [one.stage.value for one in times.stages],
            "Time (s)": [one.seconds for one in times.stages],
        }
    )


def stages_frame(stages: Sequence[StageCost]) -> pd.DataFrame:
    """Stages in the order given, with what is unusual about each in words."""
    return pd.DataFrame(
        {
            "Stage": [one.id for one in stages],
            "What for": [one.description for one in stages],
            "Unusual": [unusual(one) for one in stages],
            "Time (s)": [one.seconds for one in stages],
            "Tasks": [one.tasks for one in stages],
            "Task time (s)": [one.task_s for one in stages],
            "GC (s)": [one.gc_s for one in stages],
            "Shuffle (MiB)": [one.shuffle_mb for one in stages],
            "Spilled (MiB)": [one.spilled_mb for one in stages],
            "Peak execution memory (MiB)": [one.peak_execution_memory_mb for one in stages],
            "Skew": pd.array([one.skew for one in stages], dtype="Float64"),
        }
    )


def unusual(stage: StageCost) -> str:
    """Skew and spill in words; empty for a stage without either."""
    said = []
    if stage.skew is not None and stage.skew >= _SKEWED:
        said.append(f"skew: {stage.skew:.1f} × the median task")
    if stage.spilled_mb >= _TENTH_MIB:
        said.append(f"spill: {stage.spilled_mb:.1f} MiB to disk")
    return "; ".join(said)


def spark_start_sentence(times: StageTimes) -> str:
    """How long the stages took together, and whether Spark was there already."""
    told = f"The stages took {words.duration(timedelta(seconds=times.seconds))} together. "
    if times.spark_was_warm:
        return f"{told}Spark was warm: the session of an earlier run was there."
    return f"{told}Spark was cold: a session was started for this run, from the first stage on."


def usage_sentence(usage: Usage) -> str:
    """The bill in one line."""
    spilled = f"{usage.spilled_mb:.1f} MiB" if usage.spilled_mb >= _TENTH_MIB else "nothing"
    return (
        f"{words.duration(timedelta(seconds=usage.wall_s))} on "
        f"{words.count(usage.cores, 'core')} · {usage.core_seconds:,.0f} core-seconds · "
        f"utilization {usage.mean_utilization:.0%} · peak memory {usage.peak_rss_mb:,.0f} MiB · "
        f"garbage collection {usage.gc_share:.1%} of task time · spilled {spilled}"
    )


def phases_sentence(usage: Usage) -> str:
    """Every phase with its length, as some are too short to be named in a chart."""
    listed = [f"{one.name} {one.end_s - one.begin_s:.1f} s" for one in usage.phases]
    return f"Phases: {', '.join(listed)}." if listed else "No phases were recorded."


def most_fits(
    spaces: Sequence[Mapping[str, Sequence[object]]], trials: int, folds: int, *, is_grid: bool
) -> int:
    """Fits of searching each space by itself; what can share one is not counted off.

    Args:
        spaces: a family's parameters with their values, each.
        trials: most candidates of a family.
        folds: fits of a candidate.
        is_grid: a grid tries no more than it has points.
    """
    points = [math.prod(len(values) for values in space.values()) for space in spaces]
    return sum(min(trials, size) if is_grid else trials for size in points) * folds


def expected_seconds(
    report: SweepReport, profiles: Sequence[str], families: Sequence[str], repeat: int
) -> float | None:
    """What such a sweep would take by the times of an earlier one, without its warm-up.

    None if the earlier one did not measure all of it.
    """
    seconds = {(one.profile.name, one.family): one.seconds for one in profile_means(report)}
    starts: dict[str, float] = {one.profile.name: one.start_seconds for one in report.measurements}
    wanted = [(profile, family) for profile in profiles for family in families]
    if not wanted or any(pair not in seconds for pair in wanted):
        return None
    return repeat * (sum(seconds[one] for one in wanted) + sum(starts[one] for one in profiles))
