"""What is known of the picked runs, gathered before anything is drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.charts import Bands, Evaluations
from core.training.comparison import AucComparison, Incomparable, SliceComparison

#: More lines than the palette has colours cannot be told apart in one chart.
MOST_DRAWN = 6
#: Judging row by row reads each run's predictions of the whole holdout.
MOST_JUDGED = 50
#: Seconds, bytes and the like of a run, under MLflow's names.
Costs = Mapping[str, float]


@dataclass(frozen=True)
class Comparison:
    """Runs under their names, in the order of drawing; ``baseline`` is one of them.

    ``verdicts`` and ``slices`` hold the other runs against the baseline, each as far as
    both are in ``judged`` and kept their predictions; ``bands`` holds those of ``drawn``
    that did.
    """

    evaluations: Evaluations
    baseline: str
    run_ids: Mapping[str, str]
    costs: Mapping[str, Costs]
    bands: Bands
    verdicts: Mapping[str, AucComparison | Incomparable]
    slices: Mapping[str, tuple[SliceComparison, ...]]

    @property
    def candidates(self) -> tuple[str, ...]:
        """Every run but the baseline."""
        return tuple(name for name in self.evaluations if name != self.baseline)

    @property
    def drawn(self) -> Evaluations:
        """Those that charts show; tables and files have every run."""
        names = drawn_of(list(self.evaluations), self.baseline)
        return {name: self.evaluations[name] for name in names}

    @property
    def judged(self) -> tuple[str, ...]:
        """The baseline and those that are held against it row by row."""
        return judged_of(list(self.evaluations), self.baseline)

    @property
    def is_cut(self) -> bool:
        """Whether there are runs that charts do not show."""
        return len(self.evaluations) > MOST_DRAWN


def drawn_sentence(comparison: Comparison) -> str:
    """Which runs charts show, where they do not show all."""
    return (
        f"Charts in which runs lie on one another, and those of single runs, show the baseline "
        f"and the {MOST_DRAWN - 1} first of the {len(comparison.candidates)} others; tables, "
        "parallel coordinates and the CSV file have every run."
    )


def judged_sentence(comparison: Comparison) -> str:
    """Which runs are held against the baseline row by row; empty where all are."""
    if len(comparison.judged) == len(comparison.evaluations):
        return ""
    return (
        f"Row by row, the {MOST_JUDGED - 1} first of the {len(comparison.candidates)} others are "
        "held against the baseline; tick fewer runs to judge the rest."
    )


def drawn_of(names: Sequence[str], baseline: str) -> tuple[str, ...]:
    """The baseline and the first others, as many as a chart can tell apart, in their order."""
    return _first_of(names, baseline, MOST_DRAWN)


def judged_of(names: Sequence[str], baseline: str) -> tuple[str, ...]:
    """The baseline and the first others, as many as are judged row by row, in their order."""
    return _first_of(names, baseline, MOST_JUDGED)


def _first_of(names: Sequence[str], baseline: str, most: int) -> tuple[str, ...]:
    others = [name for name in names if name != baseline]
    chosen = {baseline, *others[: most - 1]}
    return tuple(name for name in names if name in chosen)
