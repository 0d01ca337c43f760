"""Which profile and family to use next, and why. Pure functions of a sweep's report.

Every limit below is a judgement; each says what it rests on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise
from statistics import fmean
from typing import Literal

from core.training.preflight import is_oversubscribed
from core.training.profile_means import (
    ProfileMean,
    ProfileTotal,
    profile_means,
    profile_totals,
)
from core.training.sweep_report import Advice, BoostingPoint, Reason, SweepReport, Topic

#: A profile that takes more of the cluster has to save this share of the time: less is
#: not felt by whoever waits, and the cores are missing elsewhere.
WORTH_SHARE = 0.10
#: With less of its cores in use a profile waits for something else: the driver, one task.
LOW_UTILIZATION = 0.50
#: With more in use, cores are what the work waits for.
HIGH_UTILIZATION = 0.80
#: Spark's own page marks a stage or executor red above a tenth of its time in GC.
HIGH_GC_SHARE = 0.10
#: Code, class data and threads of one executor's JVM lie outside the heap that a
#: profile's memory sets; an executor that has done nothing yet holds about so much.
OUTSIDE_HEAP_MB = 300.0
#: The heap is as good as full.
FULL_SHARE = 0.95
#: Half of the memory would do.
ROOMY_SHARE = 0.50
#: A stage whose longest task takes as much as three medians waits for that task alone.
HIGH_SKEW = 3.0
#: Skew in shorter stages costs nobody anything.
LEAST_STAGE_S = 0.5
#: Ten further iterations then bring less than 0.005 of AUC, which is less than a third of
#: a cross-validated mean's standard error on a thousand rows.
LEAST_GAIN = 0.0005

Cost = Literal["seconds", "core_seconds"]


def advise(report: SweepReport) -> Advice:
    """Chooses a profile and a family and gives the reasons in words.

    Raises:
        ValueError: the report has no measurements.
    """
    if not report.measurements:
        raise ValueError("a sweep without measurements says nothing")
    family, of_family = _family(report)
    chosen, of_profile = _profile(report)
    reasons = [
        *of_profile,
        of_family,
        _cores(report, chosen),
        *_memory(chosen),
        *_skew(report, chosen),
        *_boosting(report.boosting),
    ]
    return Advice(profile=chosen.profile.name, family=family, reasons=tuple(reasons))


def efficiency_frontier(report: SweepReport, by: Cost) -> tuple[ProfileMean, ...]:
    """Means that no other beats in both AUC and cost, cheapest first.

    A point is on the frontier if whatever costs no more has a lower AUC (Pareto).
    """

    def cost(mean: ProfileMean) -> float:
        return mean.seconds if by == "seconds" else mean.core_seconds

    frontier: list[ProfileMean] = []
    for mean in sorted(profile_means(report), key=lambda m: (cost(m), -m.cv_auc)):
        if not frontier or mean.cv_auc > frontier[-1].cv_auc:
            frontier.append(mean)
    return tuple(frontier)


def _family(report: SweepReport) -> tuple[str, Reason]:
    """The best AUC; within its standard error the family that costs least wins."""
    by_family = {
        m.family: [n for n in report.measurements if n.family == m.family]
        for m in report.measurements
    }
    auc = {name: fmean(m.cv_auc for m in own) for name, own in by_family.items()}
    cost = {name: fmean(m.usage.core_seconds for m in own) for name, own in by_family.items()}
    best = max(auc, key=lambda name: auc[name])
    error = fmean(m.cv_auc_standard_error or 0.0 for m in by_family[best])
    equal = [name for name in auc if auc[name] >= auc[best] - error]
    chosen = min(equal, key=lambda name: cost[name])
    bill = f"{cost[chosen]:.0f} core-seconds a search"
    if chosen == best:
        others = [name for name in equal if name != chosen]
        text = f"{best} has the best AUC, {auc[best]:.4f}, for {bill}"
        text += f"; {_listed(others)} within one standard error of it and dearer" if others else ""
    else:
        text = (
            f"{chosen} reaches an AUC of {auc[chosen]:.4f} for {bill}. {best} has {auc[best]:.4f} "
            f"for {cost[best]:.0f}; the difference is within one standard error ({error:.4f})"
        )
    return chosen, Reason(topic=Topic.FAMILY, text=f"{text}.")


def _listed(names: Sequence[str]) -> str:
    return f"{' and '.join(names)} {'is' if len(names) == 1 else 'are'}"


def _profile(report: SweepReport) -> tuple[ProfileTotal, list[Reason]]:
    """From the smallest up: a larger one is taken if it is clearly and usefully faster."""
    totals = sorted(
        profile_totals(report),
        key=lambda t: (t.profile.cores, t.profile.memory_mb, t.mean_seconds),
    )
    chosen = totals[0]
    for larger in totals[1:]:
        saved = chosen.mean_seconds - larger.mean_seconds
        if saved > _noise(chosen, larger) and saved >= WORTH_SHARE * chosen.mean_seconds:
            chosen = larger
    families = len({m.family for m in report.measurements})
    text = (
        f"{chosen.profile.name} searches {families} {'family' if families == 1 else 'families'} "
        f"in {chosen.mean_seconds:.0f} s with {chosen.core_seconds:.0f} core-seconds."
    )
    reasons = [Reason(topic=Topic.PROFILE, text=text)]
    reasons += [_against(chosen, other) for other in totals if other is not chosen]
    names = [t.profile.name for t in totals if is_oversubscribed(t.profile, report.physical_cores)]
    if names:
        text = (
            f"{_listed(names)} oversubscribed: more cores than the {report.physical_cores} "
            "that the machine has, so tasks wait for each other."
        )
        reasons.append(Reason(topic=Topic.PROFILE, text=text))
    if len(totals) > 1 and min(len(t.seconds) for t in totals) < 2:
        text = "Measured once: repeats would show what of the differences is chance."
        reasons.append(Reason(topic=Topic.PROFILE, text=text))
    return chosen, reasons


def _noise(one: ProfileTotal, other: ProfileTotal) -> float:
    """Seconds by which repeats of the same profile differ."""
    return max(one.seconds_range, other.seconds_range)


def _against(chosen: ProfileTotal, other: ProfileTotal) -> Reason:
    """Why ``chosen`` and not ``other``."""
    saved = other.mean_seconds - chosen.mean_seconds
    noise = _noise(chosen, other)
    name, seconds = other.profile.name, f"{other.mean_seconds:.0f} s"
    share = f"{abs(saved) / other.mean_seconds:.0%}"
    if abs(saved) <= noise:
        text = (
            f"{name} takes {seconds}: that differs by {abs(saved):.0f} s, and repeats of one "
            f"profile by up to {noise:.0f} s. The two cannot be told apart, and the smaller one "
            "leaves more to others."
        )
    elif saved > 0:
        text = f"{name} takes {seconds}: {chosen.profile.name} saves {share} of that."
    else:
        share = f"{-saved / chosen.mean_seconds:.0%}"
        text = f"{name} takes {seconds}, {share} less, which is not worth {_more(chosen, other)}."
    return Reason(topic=Topic.PROFILE, text=text)


def _more(chosen: ProfileTotal, other: ProfileTotal) -> str:
    """What ``other``, the larger one by cores and then by memory, holds beyond ``chosen``."""
    cores = other.profile.cores - chosen.profile.cores
    memory = other.profile.memory_mb - chosen.profile.memory_mb
    parts = [f"{cores} more core{'s' if cores > 1 else ''}"] if cores else []
    parts += [f"{memory} MiB more"] if memory > 0 else []
    less = f", even with {-memory} MiB less" if memory < 0 else ""
    return " and ".join(parts) + less


def _cores(report: SweepReport, chosen: ProfileTotal) -> Reason:
    """By the time of tasks: what the driver does by itself, no executor's core can take."""
    name, busy = chosen.profile.name, chosen.task_share
    used = f"{busy:.0%} utilization of {name}'s cores by tasks"
    if busy < LOW_UTILIZATION:
        text = (
            f"More cores will not help: {used}. With the driver's own work CPU time comes to "
            f"{chosen.utilization:.0%}."
        )
    elif busy < HIGH_UTILIZATION:
        text = f"More cores will help little: {used}."
    elif chosen.profile.cores < report.physical_cores:
        text = f"More cores may help: {used}, and the machine has more."
    else:
        text = (
            f"The cores are busy: {used}. The machine has {report.physical_cores}, so only "
            "another machine would be faster."
        )
    return Reason(topic=Topic.CORES, text=text)


def _memory(chosen: ProfileTotal) -> Iterator[Reason]:
    profile = chosen.profile
    heap_mb = max(0.0, chosen.peak_jvm_rss_mb - OUTSIDE_HEAP_MB * profile.executors)
    name, filled = profile.name, heap_mb / profile.memory_mb
    signs = []
    if chosen.gc_share > HIGH_GC_SHARE:
        signs.append(f"garbage collection took {chosen.gc_share:.0%} of the tasks' time")
    if chosen.spilled_mb > 0:
        signs.append(f"{chosen.spilled_mb:.0f} MiB were spilled to disk")
    if filled >= FULL_SHARE:
        signs.append(f"the executors' heap held {heap_mb:.0f} of {profile.memory_mb} MiB")
    if signs:
        yield Reason(topic=Topic.MEMORY, text=f"Raise memory above {name}'s: {', '.join(signs)}.")
    elif chosen.peak_jvm_rss_mb and filled <= ROOMY_SHARE:
        text = (
            f"Memory can go down: the executors' heap held about {heap_mb:.0f} of "
            f"{profile.memory_mb} MiB on {name}, garbage collection took "
            f"{chosen.gc_share:.1%} of the tasks' time and nothing was spilled."
        )
        yield Reason(topic=Topic.MEMORY, text=text)
    else:
        text = (
            f"Memory is right on {name}: nothing was spilled and garbage collection took "
            f"{chosen.gc_share:.1%} of the tasks' time."
        )
        yield Reason(topic=Topic.MEMORY, text=text)


def _skew(report: SweepReport, chosen: ProfileTotal) -> Iterator[Reason]:
    own = [m for m in report.measurements if m.profile.name == chosen.profile.name]
    stages = [(m.family, s) for m in own for s in m.usage.slowest if s.seconds >= LEAST_STAGE_S]
    skewed = [(family, s) for family, s in stages if s.skew is not None and s.skew >= HIGH_SKEW]
    if skewed:
        family, worst = max(skewed, key=lambda pair: pair[1].skew or 0.0)
        text = (
            f"Stage {worst.id} of {family} ({worst.description}) is skewed: its longest task "
            f"took {worst.skew:.1f} times the median of {worst.tasks} tasks, so the others waited."
        )
        yield Reason(topic=Topic.SKEW, text=text)
    elif stages and all(stage.tasks == 1 for _, stage in stages):
        text = (
            "Each of the slowest stages is one task: the rows fill one partition, so a fit uses "
            "one core and only candidates side by side use more."
        )
        yield Reason(topic=Topic.SKEW, text=text)


def _boosting(points: Sequence[BoostingPoint]) -> Iterator[Reason]:
    by_depth = sorted(points, key=lambda p: (p.max_depth, p.iterations))
    for depth, group in groupby(by_depth, key=lambda p: p.max_depth):
        curve = list(group)
        if len(curve) > 1:
            yield Reason(topic=Topic.BOOSTING, text=_returns(depth, curve))


def _returns(depth: int, curve: Sequence[BoostingPoint]) -> str:
    last, knee = curve[-1], saturation(curve)
    if knee is last:
        before = curve[-2]
        gain = (last.cv_auc - before.cv_auc) / (last.iterations - before.iterations)
        return (
            f"Boosting at depth {depth} still gains {gain:.4f} of AUC an iteration at "
            f"{last.iterations} iterations ({last.cv_auc:.4f}): longer ensembles may be better."
        )
    return (
        f"Boosting at depth {depth} gains less than {LEAST_GAIN} of AUC an iteration after "
        f"{knee.iterations}: {knee.cv_auc:.4f} there, {last.cv_auc:.4f} at {last.iterations}, "
        f"which takes {last.seconds / knee.seconds:.1f} times as long."
    )


def saturation(curve: Sequence[BoostingPoint]) -> BoostingPoint:
    """The first cut of one depth after which no step gains ``LEAST_GAIN`` an iteration.

    The last point if there is still something to gain there.
    """
    knee = curve[0]
    for before, after in pairwise(curve):
        gain = (after.cv_auc - before.cv_auc) / (after.iterations - before.iterations)
        if gain >= LEAST_GAIN:
            knee = after
    return knee
