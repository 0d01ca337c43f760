"""Writes what a sweep found into ``docs/resources.md``, between its two marks.

What stands outside the marks is written by people and stays.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from pydantic import ValidationError

from core.errors import InvalidInputError
from core.training import sweep_figures
from core.training.advice import advise, efficiency_frontier
from core.training.preflight import is_oversubscribed
from core.training.profile_means import ProfileTotal, profile_means, profile_totals
from core.training.sweep_report import SweepReport

LOG = logging.getLogger(__name__)
BEGIN, END = "<!-- sweep: begin -->", "<!-- sweep: end -->"
IMAGES = "images"
SLOWEST = 5


def main() -> int:
    """Reads the recorded sweep and rewrites the page; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recorded", type=Path, help="a sweep's sweep.json")
    parser.add_argument("page", type=Path, help="the page to rewrite")
    given = parser.parse_args()
    logging.basicConfig(level="INFO", format="%(message)s")
    try:
        report = read_report(given.recorded)
        text = given.page.read_text(encoding="utf-8")
        given.page.write_text(with_section(text, section(report)), encoding="utf-8")
    except (OSError, InvalidInputError) as exc:
        LOG.error("%s", exc)
        return 1
    sweep_figures.draw_sweep(report, given.page.parent / IMAGES)
    LOG.info("wrote %s from %s", given.page, given.recorded)
    return 0


def read_report(path: Path) -> SweepReport:
    """Reads a recorded sweep.

    Raises:
        InvalidInputError: the file holds none.
    """
    try:
        return SweepReport.model_validate_json(path.read_text(encoding="utf-8"))
    except (ValidationError, UnicodeDecodeError) as exc:
        raise InvalidInputError(
            f"{path} holds no report of a sweep.", fix="Take sweep/sweep.json of a sweep."
        ) from exc


def with_section(page: str, text: str) -> str:
    """Returns ``page`` with what is between its marks replaced.

    Raises:
        InvalidInputError: the page has no marks.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise InvalidInputError(
            "The page has no place for a sweep.", fix=f"Put {BEGIN} and {END} into it."
        )
    return f"{before}{BEGIN}\n\n{text}\n{END}{after}"


def section(report: SweepReport) -> str:
    """The findings as Markdown."""
    return "\n".join([*_facts(report), *_scheme(report), *_costs(report), *_details(report)])


def _facts(report: SweepReport) -> Iterator[str]:
    repeats = len({one.repeat for one in report.measurements})
    ending = "s" if repeats > 1 else ""
    commit, dash, dirty = report.git_commit.partition("-")
    yield (
        f"Measured on {report.started_at:%Y-%m-%d} on a machine with {report.physical_cores} "
        f"physical cores, commit `{commit[:12]}{dash}{dirty}`: {report.problem}, "
        f"{report.train_rows} training rows, {report.folds} folds, {repeats} repeat{ending}. "
        "Factors compare with the first row of their table."
    )
    yield ""


def _scheme(report: SweepReport) -> Iterator[str]:
    yield "## Recommended scheme"
    yield ""
    yield from advice_lines(report)


def advice_lines(report: SweepReport) -> Iterator[str]:
    """What the sweep advises, with every reason, as Markdown."""
    advice = advise(report)
    yield f"Profile **{advice.profile}**, family **{advice.family}**."
    yield ""
    for reason in advice.reasons:
        yield f"- {reason.topic.value.capitalize()}: {reason.text}"
    yield ""


def _costs(report: SweepReport) -> Iterator[str]:
    yield "## Profiles"
    yield ""
    yield from _picture(sweep_figures.TIME, "Training time by profile and family")
    yield from totals_table(report)
    yield "## Families"
    yield ""
    yield from _picture(sweep_figures.QUALITY, "AUC by profile and family")
    means = profile_means(report)
    rows = [
        (
            mean.profile.name,
            mean.family,
            f"{mean.candidates}",
            f"{mean.cv_auc:.4f}",
            f"{mean.seconds:.1f} s",
            f"{mean.seconds_range:.1f} s",
            f"{mean.core_seconds:.0f}",
            f"{mean.peak_rss_mb:.0f} MiB",
            f"{mean.utilization:.0%}",
        )
        for mean in means
    ]
    header = ["profile", "family", "candidates", "AUC", "time", "repeats differ by", "core-seconds"]
    yield from markdown_table([*header, "memory with driver", "utilization"], rows)
    yield "## Efficiency frontier"
    yield ""
    yield from _picture(sweep_figures.FRONTIER, "AUC against seconds and core-seconds")
    for cost, name in sweep_figures.COST_NAMES.items():
        best = efficiency_frontier(report, cost)
        points = (f"{m.family} on {m.profile.name} ({m.cv_auc:.4f})" for m in best)
        yield f"- AUC against {name.lower()}, nothing cheaper is as good: {', '.join(points)}."
    yield ""


def totals_table(report: SweepReport) -> Iterator[str]:
    """What all families together cost on each profile, as Markdown."""
    totals = profile_totals(report)
    header = ["profile", "start of Spark", "all families", "each repeat", "core-seconds"]
    header += ["executors' memory", "utilization", "by tasks alone", "GC"]
    yield from markdown_table(header, [_total_row(t, totals[0], report) for t in totals])


def _total_row(total: ProfileTotal, first: ProfileTotal, report: SweepReport) -> Sequence[str]:
    is_over = is_oversubscribed(total.profile, report.physical_cores)
    seconds, core_seconds = total.mean_seconds, total.core_seconds
    return (
        f"{total.profile.name}{' (oversubscribed)' if is_over else ''}",
        f"{total.start_seconds:.0f} s",
        f"{seconds:.0f} s ({seconds / first.mean_seconds:.2f} ×)",
        ", ".join(f"{value:.0f} s" for value in total.seconds),
        f"{core_seconds:.0f} ({core_seconds / first.core_seconds:.2f} ×)",
        f"{total.peak_executor_rss_mb:.0f} MiB",
        f"{total.utilization:.0%}",
        f"{total.task_share:.0%}",
        f"{total.gc_share:.1%}",
    )


def _details(report: SweepReport) -> Iterator[str]:
    shown = sweep_figures.shown_measurement(report)
    yield "## Where the time goes"
    yield ""
    yield from _picture(sweep_figures.TIMELINE, "CPU and memory over time")
    yield f"The stages of {shown.family} on {shown.profile.name} that took longest:"
    yield ""
    rows = [
        (
            stage.description,
            f"{stage.seconds:.2f} s",
            f"{stage.tasks}",
            "-" if stage.skew is None else f"{stage.skew:.1f}",
            f"{stage.gc_s:.2f} s",
            f"{stage.spilled_mb:.0f} MiB",
        )
        for stage in shown.usage.slowest[:SLOWEST]
    ]
    yield from markdown_table(
        ["stage", "time", "tasks", "longest / median task", "GC", "spilled"], rows
    )
    if report.boosting:
        yield "## Boosting"
        yield ""
        yield from _picture(sweep_figures.BOOSTING, "AUC by iterations and by seconds")
        points = sorted(report.boosting, key=lambda p: (p.max_depth, p.iterations))
        for depth, group in groupby(points, key=lambda p: p.max_depth):
            cells = (f"{p.cv_auc:.4f} at {p.iterations}" for p in group)
            yield f"- Depth {depth}: {', '.join(cells)} iterations."
        yield ""


def _picture(name: str, what: str) -> Iterator[str]:
    yield f"![{what}]({IMAGES}/{name})"
    yield ""


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yields the lines of a table and an empty one; a bar in a cell becomes a slash."""
    for row in (header, ["---"] * len(header), *rows):
        yield f"| {' | '.join(cell.replace('|', '/') for cell in row)} |"
    yield ""


if __name__ == "__main__":
    sys.exit(main())
