"""What a benchmark found, and how it is printed: medians, ratios to the peer, targets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Timing:
    """One way of doing the work; one value in seconds for each time it was repeated."""

    name: str
    seconds: tuple[float, ...]
    note: str = ""

    @property
    def median_s(self) -> float:
        """The middle of the repetitions."""
        return median(self.seconds)


@dataclass(frozen=True)
class Target:
    """What is to be reached: ``value`` at most ``limit``, or at least if ``at_least``."""

    what: str
    value: float
    limit: float
    at_least: bool = False

    @property
    def is_reached(self) -> bool:
        """Whether the value keeps the limit; one that is not a number does not."""
        return self.value >= self.limit if self.at_least else self.value <= self.limit


@dataclass(frozen=True)
class Table:
    """Figures that are no seconds, as texts; the first column names the way."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Section:
    """The figures of one benchmark: timings, of which the first is the peer, or a table."""

    title: str
    timings: tuple[Timing, ...] | Table
    targets: tuple[Target, ...]


def render(section: Section, conditions: str) -> str:
    """Returns a section as Markdown; ``conditions`` says where and under what load."""
    if isinstance(section.timings, Table):
        figures = _table(section.timings)
    else:
        repeats = len(section.timings[0].seconds)
        conditions += f" Median of {repeats}." if repeats > 1 else " One run of each."
        figures = _timings(section.timings)
    return "\n".join(
        [
            f"### {section.title}",
            "",
            conditions,
            "",
            *figures,
            "",
            *_targets(section.targets),
        ]
    )


def _table(table: Table) -> list[str]:
    align = ["---", *["---:"] * (len(table.head) - 1)]
    return [f"| {' | '.join(cells)} |" for cells in (table.head, align, *table.rows)]


def _timings(timings: Sequence[Timing]) -> list[str]:
    peer = timings[0].median_s
    lines = ["| way | seconds | ratio to the first | |", "| --- | ---: | ---: | --- |"]
    for timing in timings:
        seconds, ratio = f"{timing.median_s:.3g}", f"{timing.median_s / peer:.2f}"
        lines.append(f"| {timing.name} | {seconds} | {ratio} | {timing.note} |")
    return lines


def _targets(targets: Sequence[Target]) -> list[str]:
    lines = ["| target | limit | measured | |", "| --- | ---: | ---: | --- |"]
    for target in targets:
        sign = "≥" if target.at_least else "≤"
        outcome = "reached" if target.is_reached else "**missed**"
        limit, value = f"{sign} {target.limit:.4g}", f"{target.value:.4g}"
        lines.append(f"| {target.what} | {limit} | {value} | {outcome} |")
    return lines


def replace_figures(document: str, name: str, figures: str) -> str:
    """Returns a document with its figures of one benchmark, between two marks, exchanged.

    Raises:
        ValueError: the document has no place for them.
    """
    begin, end = f"<!-- figures: {name} -->\n", f"<!-- end of figures: {name} -->"
    head, begun, rest = document.partition(begin)
    _, ended, tail = rest.partition(end)
    if not begun or not ended:
        raise ValueError(f"the document has no place for the figures of {name}")
    return f"{head}{begin}{figures}\n{end}{tail}"
