"""What the version in production learned from: the reference of every check."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from core.adapters.mlflow import RunTracker
from core.data.tables import read_table
from core.errors import NotFoundError
from core.promotion.promotions import PromotionService

#: Artifact of a training run.
REFERENCE_FILE = "reference/reference.parquet"


@dataclass(frozen=True, eq=False)
class Reference:
    """Training rows with out-of-fold predictions: ``row_id``, inputs, label, probability."""

    version: int
    run_id: str
    table: pa.Table


class References:
    """References of the versions in production, fetched once from MLflow."""

    def __init__(self, promotions: PromotionService, tracker: RunTracker, home: Path) -> None:
        self._promotions = promotions
        self._tracker = tracker
        self._home = home

    def of(self, problem: str) -> Reference:
        """The reference of a problem's version in production.

        Raises:
            NotFoundError: nothing is in production, or its run keeps no reference.
            UnavailableError: MLflow does not answer and there is no local copy.
        """
        production = self._promotions.production(problem)
        if production is None:
            raise nothing_in_production(problem)
        table = reference_table(self._tracker, production.run_id, self._home)
        return Reference(production.version, production.run_id, table)


def nothing_in_production(problem: str) -> NotFoundError:
    """Says that there is no version to check."""
    return NotFoundError(
        f"{problem} has no version in production, so there is no reference to compare with.",
        fix=f"Train one with `pilothouse run {problem}`.",
    )


def reference_table(tracker: RunTracker, run_id: str, home: Path) -> pa.Table:
    """Reads a training run's reference; it is fetched once into the folder of the state.

    Raises:
        NotFoundError: the run keeps no reference.
        UnavailableError: MLflow does not answer and there is no local copy.
    """
    kept = home / "references" / f"{run_id}.parquet"
    if not kept.is_file():
        kept.parent.mkdir(parents=True, exist_ok=True)
        # Under its final name only when it is whole; whoever comes second replaces like by like.
        with tempfile.TemporaryDirectory(dir=kept.parent, prefix=".fetch-") as scratch:
            tracker.fetch_file(run_id, REFERENCE_FILE, Path(scratch)).replace(kept)
    return read_table(kept)
