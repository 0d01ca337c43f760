"""Draws a sweep: what profiles and families cost, and what that buys."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from core.training.advice import Cost, advise, efficiency_frontier
from core.training.profile_means import ProfileMean, profile_means
from core.training.sweep_report import SweepMeasurement, SweepReport

#: Told apart also without colours, by lightness.
COLOURS = ("#1f5f8b", "#e08e2b", "#7ab07a", "#8c4a6b")
GUIDE = "#999999"
MARKS = ("o", "s", "^", "D", "v", "P")
COST_NAMES: dict[Cost, str] = {"seconds": "Seconds", "core_seconds": "Core-seconds"}
TIME, QUALITY, FRONTIER, TIMELINE, BOOSTING = (
    f"resources-{name}.png" for name in ("time", "auc", "frontier", "timeline", "boosting")
)


def draw_sweep(report: SweepReport, folder: Path) -> None:
    """Writes the pictures of a sweep into ``folder``; boosting only where it was measured."""
    folder.mkdir(parents=True, exist_ok=True)
    means = profile_means(report)
    _save(_time(report, means), folder / TIME)
    _save(_quality(report), folder / QUALITY)
    _save(_frontier(report, means), folder / FRONTIER)
    _save(_timeline(shown_measurement(report)), folder / TIMELINE)
    if report.boosting:
        _save(_boosting(report), folder / BOOSTING)


def shown_measurement(report: SweepReport) -> SweepMeasurement:
    """The last repeat of the dearest family on the advised profile: the most to look at."""
    name = advise(report).profile
    own = [one for one in report.measurements if one.profile.name == name]
    return max(own, key=lambda one: (one.repeat, one.usage.core_seconds))


def _canvas(columns: int = 1) -> tuple[Figure, Sequence[Axes]]:
    # No pyplot: it keeps every figure in a global and picks a display.
    figure = Figure(figsize=(5.5 * columns, 3.8), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, columns, squeeze=False)[0]
    return figure, list(axes)


def _save(figure: Figure, path: Path) -> None:
    # Matplotlib's version in the file would make equal figures differ.
    figure.savefig(path, metadata={"Software": None})


def _distinct(names: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _time(report: SweepReport, means: Sequence[ProfileMean]) -> Figure:
    """Bars of the mean, stacked by family, and a point for every repeat's sum."""
    figure, (axes,) = _canvas()
    profiles = _distinct([mean.profile.name for mean in means])
    bottom = dict.fromkeys(profiles, 0.0)
    for colour, family in zip(COLOURS, _distinct([m.family for m in means]), strict=False):
        for mean in means:
            if mean.family == family:
                name = mean.profile.name
                label = family if name == profiles[0] else None
                axes.bar(name, mean.seconds, bottom=bottom[name], color=colour, label=label)
                bottom[name] += mean.seconds
    for number in sorted({one.repeat for one in report.measurements}):
        sums = [
            sum(
                one.seconds
                for one in report.measurements
                if one.repeat == number and one.profile.name == name
            )
            for name in profiles
        ]
        label = "one repeat" if number == 1 else None
        axes.plot(profiles, sums, "k_", markersize=16, label=label)
    axes.set(title="Training time by profile", ylabel="Seconds")
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def _quality(report: SweepReport) -> Figure:
    """Cross-validated AUC with one standard error; families side by side."""
    figure, (axes,) = _canvas()
    first = [one for one in report.measurements if one.repeat == 1]
    profiles = _distinct([one.profile.name for one in first])
    families = _distinct([one.family for one in first])
    for place, family in enumerate(families):
        own = [one for one in first if one.family == family]
        shift = 0.15 * (place - (len(families) - 1) / 2)
        axes.errorbar(
            [profiles.index(one.profile.name) + shift for one in own],
            [one.cv_auc for one in own],
            yerr=[one.cv_auc_standard_error or 0.0 for one in own],
            fmt=MARKS[place % len(MARKS)],
            color=COLOURS[place % len(COLOURS)],
            capsize=3,
            label=family,
        )
    axes.set_xticks(range(len(profiles)), profiles)
    axes.set(title="AUC by profile, with one standard error", ylabel="Cross-validated AUC")
    axes.legend()
    return figure


def _frontier(report: SweepReport, means: Sequence[ProfileMean]) -> Figure:
    figure, panels = _canvas(columns=2)
    profiles = _distinct([mean.profile.name for mean in means])
    families = _distinct([mean.family for mean in means])
    for axes, (cost, name) in zip(panels, COST_NAMES.items(), strict=True):
        best = efficiency_frontier(report, cost)
        axes.step(
            [getattr(mean, cost) for mean in best],
            [mean.cv_auc for mean in best],
            where="post",
            color=GUIDE,
            linestyle=":",
        )
        for mean in means:
            axes.plot(
                getattr(mean, cost),
                mean.cv_auc,
                MARKS[profiles.index(mean.profile.name) % len(MARKS)],
                color=COLOURS[families.index(mean.family) % len(COLOURS)],
                label=f"{mean.family}, {mean.profile.name}",
            )
        axes.set(title=f"AUC against {name.lower()}", xlabel=name, ylabel="Cross-validated AUC")
    panels[-1].legend(fontsize="x-small", loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def _timeline(one: SweepMeasurement) -> Figure:
    """CPU and memory over time, the phases marked."""
    figure, (cpu, memory) = _canvas(columns=2)
    at = [point.at_s for point in one.usage.points]
    parts = (("driver", COLOURS[1]), ("executor", COLOURS[0]))
    for part, colour in parts:
        cores = [getattr(point, f"{part}_cores") for point in one.usage.points]
        rss_mb = [getattr(point, f"{part}_rss_mb") for point in one.usage.points]
        name = "driver" if part == "driver" else "executors"
        cpu.plot(at, cores, color=colour, label=name)
        memory.plot(at, rss_mb, color=colour, label=name)
    jvms = [point.jvm_rss_mb for point in one.usage.points]
    if jvms != [point.executor_rss_mb for point in one.usage.points]:
        # The heap is theirs alone; the rest are Python workers.
        memory.plot(at, jvms, color=COLOURS[0], linestyle="--", label="executors' JVMs")
    cpu.axhline(one.usage.cores, color=GUIDE, linestyle=":", label="cores of the profile")
    memory.axhline(one.profile.memory_mb, color=GUIDE, linestyle=":", label="heap of the profile")
    for axes, title, unit in ((cpu, "CPU", "Cores"), (memory, "Memory", "MiB")):
        for phase in one.usage.phases:
            axes.axvline(phase.begin_s, color=GUIDE, linewidth=0.6)
            # Upright, because a short phase has no room for its name.
            axes.text(
                phase.begin_s,
                0.92,
                phase.name,
                transform=axes.get_xaxis_transform(),
                rotation=90,
                va="top",
                fontsize="x-small",
            )
        title = f"{title} of {one.family} on {one.profile.name}"
        axes.set(title=title, xlabel="Seconds", ylabel=unit, ylim=(0, None))
        axes.legend(fontsize="x-small", loc="lower right")
    return figure


def _boosting(report: SweepReport) -> Figure:
    figure, panels = _canvas(columns=2)
    points = sorted(report.boosting, key=lambda p: (p.max_depth, p.iterations))
    for place, (depth, group) in enumerate(groupby(points, key=lambda p: p.max_depth)):
        curve = list(group)
        colour, mark = COLOURS[place % len(COLOURS)], MARKS[place % len(MARKS)]
        auc = [point.cv_auc for point in curve]
        label = f"depth {depth}"
        iterations = [point.iterations for point in curve]
        seconds = [point.seconds for point in curve]
        panels[0].plot(iterations, auc, label=label, color=colour, marker=mark)
        panels[1].plot(seconds, auc, label=label, color=colour, marker=mark)
    for axes, x in zip(panels, ("Iterations", "Seconds"), strict=True):
        title = f"Boosting: AUC by {x.lower()}"
        axes.set(title=title, xlabel=x, ylabel="Cross-validated AUC")
        axes.legend()
    return figure
