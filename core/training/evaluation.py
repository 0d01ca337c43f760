"""Measures a scorer on the fixed holdout. Pure functions of labels and probabilities.

Labels are 0.0 or 1.0, probabilities those of the positive class; both shape (rows,).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
from sklearn.metrics import precision_recall_curve, roc_auc_score, roc_curve

from core.training.report import CalibrationBin, Confusion, Curve, Estimate

FloatArray = npt.NDArray[np.float64]
MAX_CURVE_POINTS = 400
CALIBRATION_BINS = 10
#: Keeps the logarithm finite; scikit-learn clips float64 at its epsilon likewise.
EPSILON = float(np.finfo(np.float64).eps)


def confusion(label: FloatArray, probability: FloatArray, threshold: float) -> Confusion:
    """Counts at a threshold; a probability equal to it is a positive prediction."""
    actual = label == 1.0
    predicted = probability >= threshold
    return Confusion(
        true_positive=int(np.sum(actual & predicted)),
        false_positive=int(np.sum(~actual & predicted)),
        true_negative=int(np.sum(~actual & ~predicted)),
        false_negative=int(np.sum(actual & ~predicted)),
    )


def point_metrics(label: FloatArray, probability: FloatArray, threshold: float) -> dict[str, float]:
    """AUC, accuracy, precision, recall, F1, log-loss and Brier score.

    A ratio without a denominator is 0, as scikit-learn has it. Log-loss is in nats;
    the Brier score is the mean squared difference of probability and label.
    """
    c = confusion(label, probability, threshold)
    clipped = np.clip(probability, EPSILON, 1 - EPSILON)
    return {
        "auc": _auc(label, probability),
        "accuracy": _ratio(c.true_positive + c.true_negative, label.size),
        "precision": _ratio(c.true_positive, c.true_positive + c.false_positive),
        "recall": _ratio(c.true_positive, c.true_positive + c.false_negative),
        "f1": _ratio(
            2 * c.true_positive, 2 * c.true_positive + c.false_positive + c.false_negative
        ),
        "log_loss": float(-np.mean(label * np.log(clipped) + (1 - label) * np.log1p(-clipped))),
        "brier": float(np.mean((probability - label) ** 2)),
    }


def _auc(label: FloatArray, probability: FloatArray) -> float:
    return float(roc_auc_score(label, probability))


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def metrics_with_intervals(
    label: FloatArray,
    probability: FloatArray,
    threshold: float,
    *,
    samples: int,
    confidence: float,
    seed: int,
) -> dict[str, Estimate]:
    """Metrics with percentile bootstrap intervals (Efron & Tibshirani 1993, ch. 13).

    Rows are drawn with replacement within each class, so that every resample has both.
    """
    random = np.random.default_rng(seed)
    classes = [np.flatnonzero(label == value) for value in (0.0, 1.0)]
    drawn: dict[str, list[float]] = {}
    for _ in range(samples):
        rows = np.concatenate([random.choice(c, size=c.size, replace=True) for c in classes])
        for name, value in point_metrics(label[rows], probability[rows], threshold).items():
            drawn.setdefault(name, []).append(value)
    tail = (1 - confidence) / 2
    out: dict[str, Estimate] = {}
    for name, value in point_metrics(label, probability, threshold).items():
        low, high = np.quantile(drawn[name], [tail, 1 - tail])
        out[name] = Estimate(value=value, low=float(low), high=float(high))
    return out


def _accuracy_at(tp: FloatArray, fp: FloatArray, positives: int, negatives: int) -> FloatArray:
    return (tp + negatives - fp) / (positives + negatives)


def _f1_at(tp: FloatArray, fp: FloatArray, positives: int, negatives: int) -> FloatArray:
    return 2 * tp / (tp + fp + positives)


def _youden_at(tp: FloatArray, fp: FloatArray, positives: int, negatives: int) -> FloatArray:
    return tp / positives - fp / negatives


_RULES: Mapping[str, Callable[[FloatArray, FloatArray, int, int], FloatArray]] = {
    "accuracy": _accuracy_at,
    "f1": _f1_at,
    "youden": _youden_at,
}


def choose_threshold(label: FloatArray, probability: FloatArray, rule: str) -> float:
    """Returns the threshold at which ``rule`` is largest on out-of-fold predictions.

    ``accuracy``, ``f1`` or ``youden`` (sensitivity + specificity - 1, Youden 1950). The
    threshold lies half-way between two neighbouring probabilities, so that it does not
    sit on a training row; among equals the one nearest to 0.5 wins.
    """
    order = np.argsort(-probability, kind="stable")
    sorted_p, sorted_y = probability[order], label[order]
    last_of_ties = np.append(np.flatnonzero(np.diff(sorted_p)), label.size - 1)
    tp = np.cumsum(sorted_y)[last_of_ties]
    fp = last_of_ties + 1 - tp
    positives = int(label.sum())
    scores = _RULES[rule](tp, fp, positives, label.size - positives)
    above = sorted_p[last_of_ties]
    below = np.append(above[1:], 0.0)
    thresholds = (above + below) / 2
    best = np.flatnonzero(scores >= scores.max() - 1e-12)
    return float(thresholds[best[np.argmin(np.abs(thresholds[best] - 0.5))]])


def roc(label: FloatArray, probability: FloatArray) -> Curve:
    """False positive rate against true positive rate."""
    x, y, _ = roc_curve(label, probability)
    return _curve(x, y)


def precision_recall(label: FloatArray, probability: FloatArray) -> Curve:
    """Recall against precision."""
    precision, recall, _ = precision_recall_curve(label, probability)
    return _curve(recall[::-1], precision[::-1])


def _curve(x: FloatArray, y: FloatArray) -> Curve:
    step = np.unique(np.linspace(0, x.size - 1, min(x.size, MAX_CURVE_POINTS)).astype(int))
    return Curve(x=tuple(map(float, x[step])), y=tuple(map(float, y[step])))


def calibration_rows(probability: FloatArray) -> list[npt.NDArray[np.intp]]:
    """Rows of each bin of equal numbers of rows (quantile bins), least probable first."""
    order = np.argsort(probability, kind="stable")
    return np.array_split(order, min(CALIBRATION_BINS, probability.size))


def calibration(label: FloatArray, probability: FloatArray) -> tuple[CalibrationBin, ...]:
    """Observed rate in bins of equal numbers of rows (quantile bins)."""
    return tuple(
        CalibrationBin(
            mean_predicted=float(probability[rows].mean()),
            observed_rate=float(label[rows].mean()),
            rows=int(rows.size),
        )
        for rows in calibration_rows(probability)
    )
