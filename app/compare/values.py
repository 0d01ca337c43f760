"""What is known of the picked runs, gathered before anything is drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from app.charts import Bands, Evaluations
from core.training.comparison import AucComparison, Incomparable, SliceComparison

#: Seconds, bytes and the like of a run, under MLflow's names.
Costs = Mapping[str, float]


@dataclass(frozen=True)
class Comparison:
    """Runs under their names, in the order of drawing; ``baseline`` is one of them.

    ``verdicts`` and ``slices`` hold the other runs against the baseline, each as far as
    both kept their predictions; ``bands`` holds every run that did.
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
