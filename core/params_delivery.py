"""The section ``delivery`` of params.yaml: what the repository's pipeline has to reach."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from core.frozen import Frozen

Metric = Literal["auc", "accuracy", "precision", "recall", "f1", "log_loss", "brier"]


class DeliveryParams(Frozen):
    """Thresholds of what `dvc repro` has made, before it is registered."""

    thresholds: dict[str, dict[Metric, float]] = Field(
        description="By problem and metric of the holdout, the value that is just good enough."
    )
    auc_loss: float = Field(
        ge=0, le=1, description="AUC that may be lost against the commit that is compared with."
    )
