"""The folder of one run: every stage's outputs under fixed names.

``dvc.yaml`` names the same files below ``data/<problem>``; a run from the panel has
a workspace of its own below ``PILOTHOUSE_HOME``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel


@dataclass(frozen=True)
class Workspace:
    """Paths of a run's files."""

    root: Path

    @property
    def raw(self) -> Path:
        """Rows as ingested."""
        return self.root / "raw.parquet"

    @property
    def batches(self) -> Path:
        """Which batches are among the rows, with how many of theirs."""
        return self.root / "batches.json"

    @property
    def held_back(self) -> Path:
        """Inputs of the held-back rows of those batches: for the comparison with Spark alone."""
        return self.root / "held_back.parquet"

    @property
    def validated(self) -> Path:
        """Rows that keep the contract, typed."""
        return self.root / "validated.parquet"

    @property
    def validation(self) -> Path:
        """What the soft rules found."""
        return self.root / "validation.json"

    @property
    def train(self) -> Path:
        """Folder of the training part, with folds and derived features."""
        return self.root / "prepared" / "train"

    @property
    def holdout(self) -> Path:
        """Folder of the fixed holdout."""
        return self.root / "prepared" / "holdout"

    @property
    def columns(self) -> Path:
        """Missingness and imputation of the inputs."""
        return self.root / "prepared" / "columns.json"

    @property
    def onnx(self) -> Path:
        """The portable scorer."""
        return self.root / "model" / "model.onnx"

    @property
    def spark_model(self) -> Path:
        """Folder of the fitted Spark pipeline."""
        return self.root / "spark_model"

    @property
    def fit(self) -> Path:
        """The search's candidates, the choice, weights and parity."""
        return self.root / "model" / "fit.json"

    @property
    def reference(self) -> Path:
        """Out-of-fold predictions with their features: the reference for monitoring."""
        return self.root / "model" / "reference.parquet"

    @property
    def report(self) -> Path:
        """The evaluation report."""
        return self.root / "evaluation" / "report.json"

    @property
    def predictions(self) -> Path:
        """The holdout's rows with label and probability."""
        return self.root / "evaluation" / "predictions.parquet"

    @property
    def figures(self) -> Path:
        """Folder of pictures and curves."""
        return self.root / "evaluation" / "figures"

    @property
    def usage(self) -> Path:
        """What Spark cost."""
        return self.root / "usage.json"

    @property
    def checkpoints(self) -> Path:
        """Folder of Spark's checkpoints, there while it works."""
        return self.root / "checkpoints"

    @property
    def scratch(self) -> Path:
        """Folder for what may be thrown away."""
        return self.root / "scratch"


def write_json(path: Path, value: BaseModel | list[dict[str, object]]) -> None:
    """Writes a value as JSON with sorted keys, so that equal values give equal bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = value.model_dump(mode="json") if isinstance(value, BaseModel) else value
    path.write_text(json.dumps(data, indent=1, sort_keys=True) + "\n", encoding="utf-8")
