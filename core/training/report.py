"""What a run leaves behind for people to read: one frozen value, stored as JSON."""

from __future__ import annotations

from collections.abc import Mapping

from core.frozen import Frozen


class Estimate(Frozen):
    """A metric on the holdout with its bootstrap interval."""

    value: float
    low: float
    high: float


class Curve(Frozen):
    """Points of a curve, in drawing order; both tuples have the same length."""

    x: tuple[float, ...]
    y: tuple[float, ...]


class Confusion(Frozen):
    """Counts at the decision threshold."""

    true_positive: int
    false_positive: int
    true_negative: int
    false_negative: int


class CalibrationBin(Frozen):
    """One bin of predicted probability."""

    mean_predicted: float
    observed_rate: float
    rows: int


class FeatureWeight(Frozen):
    """How much a feature counts; shares that add up to 1 for trees, otherwise signed."""

    feature: str
    weight: float


class Candidate(Frozen):
    """One point of the search with its cross-validation."""

    index: int
    family: str
    params: Mapping[str, float | int | str]
    #: One value a fold, in order; fewer than there are folds where the search gave it up.
    fold_auc: tuple[float, ...]
    mean_auc: float
    #: Standard error of the mean over the folds; None where there is one fold alone.
    standard_error: float | None
    #: Time of its fits; a fit that scores several candidates is divided among them.
    seconds: float
    #: Given up before its last fold, being too far behind the best.
    pruned: bool = False
    #: Seconds from the beginning of the search until it was done; an older release kept none.
    done_s: float | None = None


class ParityResult(Frozen):
    """How far the exported model is from Spark."""

    rows: int
    max_difference: float
    tolerance: float


class ColumnSummary(Frozen):
    """Missingness and imputation of one input, measured on the training part."""

    column: str
    rows: int
    missing: int
    #: What a missing value becomes: the median or the mode; None where nothing is filled.
    fill_value: float | str | None


class EvaluationReport(Frozen):
    """The result of a run.

    ``metrics`` holds auc, accuracy, precision, recall, f1, log_loss, brier on the fixed
    holdout at ``threshold``.
    """

    problem: str
    family: str
    params: Mapping[str, float | int | str]
    train_rows: int
    holdout_rows: int
    #: Mean cross-validated AUC of the chosen candidate.
    cv_auc: float
    threshold: float
    threshold_rule: str
    metrics: Mapping[str, Estimate]
    confidence: float
    confusion: Confusion
    #: x false positive rate, y true positive rate.
    roc: Curve
    #: x recall, y precision.
    precision_recall: Curve
    calibration: tuple[CalibrationBin, ...]
    #: What ``weight`` means: "importance" or "standardized coefficient".
    weight_kind: str
    weights: tuple[FeatureWeight, ...]
    candidates: tuple[Candidate, ...]
    parity: ParityResult
    columns: tuple[ColumnSummary, ...]
