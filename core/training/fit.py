"""What the train stage knows: one frozen value between training and evaluation."""

from __future__ import annotations

from collections.abc import Mapping

from core.frozen import Frozen
from core.training.report import Candidate, FeatureWeight, ParityResult


class FitResult(Frozen):
    """The search's outcome, the chosen model's threshold, weights and parity."""

    problem: str
    family: str
    params: Mapping[str, float | int | str]
    cv_auc: float
    threshold: float
    threshold_rule: str
    train_rows: int
    weight_kind: str
    weights: tuple[FeatureWeight, ...]
    candidates: tuple[Candidate, ...]
    parity: ParityResult
    onnx_sha256: str
