"""Measures on the holdout, held against scikit-learn and against counting by hand."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from sklearn import metrics as sk

from core.training.evaluation import (
    MAX_CURVE_POINTS,
    calibration,
    choose_threshold,
    confusion,
    metrics_with_intervals,
    point_metrics,
    precision_recall,
    roc,
)

FloatArray = npt.NDArray[np.float64]
PERFECT = (np.array([0.0, 0.0, 1.0, 1.0]), np.array([0.1, 0.2, 0.8, 0.9]))


def _random(seed: int, rows: int = 400, decimals: int = 2) -> tuple[FloatArray, FloatArray]:
    """Labels and informative probabilities with many ties."""
    rng = np.random.default_rng(seed)
    label = (rng.random(rows) < 0.4).astype(np.float64)
    probability = np.clip(0.3 * label + 0.7 * rng.random(rows), 0, 1).round(decimals)
    return label, probability


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.9])
def test_metrics_are_scikit_learns(seed: int, threshold: float) -> None:
    label, probability = _random(seed)
    predicted = probability >= threshold
    assert point_metrics(label, probability, threshold) == pytest.approx(
        {
            "auc": sk.roc_auc_score(label, probability),
            "accuracy": sk.accuracy_score(label, predicted),
            "precision": sk.precision_score(label, predicted, zero_division=0),
            "recall": sk.recall_score(label, predicted),
            "f1": sk.f1_score(label, predicted),
            "log_loss": sk.log_loss(label, probability),
            "brier": sk.brier_score_loss(label, probability),
        },
        abs=1e-12,
    )
    c = confusion(label, probability, threshold)
    expected = sk.confusion_matrix(label, predicted).ravel().tolist()
    counts = [c.true_negative, c.false_positive, c.false_negative, c.true_positive]
    assert counts == expected


def test_a_probability_at_the_threshold_is_positive() -> None:
    label, probability = np.array([1.0, 0.0]), np.array([0.5, 0.5])
    c = confusion(label, probability, 0.5)
    assert (c.true_positive, c.false_positive) == (1, 1)
    c = confusion(label, probability, np.nextafter(0.5, 1))
    assert (c.false_negative, c.true_negative) == (1, 1)


def test_a_ratio_without_a_denominator_is_zero() -> None:
    label, probability = PERFECT
    nobody = point_metrics(label, probability, 0.95)
    assert (nobody["precision"], nobody["recall"], nobody["f1"]) == (0.0, 0.0, 0.0)


def test_a_perfect_classifier_is_perfect() -> None:
    label, certain = PERFECT[0], PERFECT[0].copy()
    found = metrics_with_intervals(label, certain, 0.5, samples=20, confidence=0.9, seed=1)
    for name in ("auc", "accuracy", "precision", "recall", "f1"):
        assert (found[name].value, found[name].low, found[name].high) == (1.0, 1.0, 1.0)
    assert found["brier"].value == 0.0
    assert 0 <= found["log_loss"].value < 1e-12


def test_a_certain_mistake_has_a_finite_loss() -> None:
    found = point_metrics(np.array([0.0, 1.0]), np.array([1.0, 0.0]), 0.5)
    assert np.isfinite(found["log_loss"])
    assert found["log_loss"] > 30
    assert found["auc"] == 0.0


@pytest.mark.parametrize("seed", range(2))
def test_intervals_hold_the_value_and_widen_with_the_confidence(seed: int) -> None:
    label, probability = _random(seed, rows=150)
    narrow, wide = (
        metrics_with_intervals(label, probability, 0.5, samples=60, confidence=level, seed=seed)
        for level in (0.5, 0.99)
    )
    assert set(narrow) == set(point_metrics(label, probability, 0.5))
    for name, estimate in narrow.items():
        assert estimate.low <= estimate.value <= estimate.high, name
        assert wide[name].low <= estimate.low
        assert wide[name].high >= estimate.high


def test_the_seed_decides_the_intervals() -> None:
    label, probability = _random(1, rows=80)

    def intervals(seed: int) -> object:
        return metrics_with_intervals(
            label, probability, 0.5, samples=20, confidence=0.95, seed=seed
        )

    assert intervals(3) == intervals(3)
    assert intervals(3) != intervals(4)


def test_resamples_keep_both_classes_however_rare_one_is() -> None:
    label = np.zeros(60)
    label[0] = 1.0
    probability = np.linspace(0, 1, 60)
    found = metrics_with_intervals(label, probability, 0.5, samples=20, confidence=0.9, seed=0)
    assert np.isfinite(found["auc"].low)


def _score(rule: str, label: FloatArray, probability: FloatArray, threshold: float) -> float:
    c = confusion(label, probability, threshold)
    if rule == "youden":
        sensitivity = c.true_positive / (c.true_positive + c.false_negative)
        return sensitivity + c.true_negative / (c.true_negative + c.false_positive) - 1
    return point_metrics(label, probability, threshold)[rule]


@pytest.mark.parametrize("rule", ["accuracy", "f1", "youden"])
@pytest.mark.parametrize("seed", range(4))
def test_no_cut_beats_the_chosen_threshold(rule: str, seed: int) -> None:
    label, probability = _random(seed, rows=120, decimals=1)
    chosen = choose_threshold(label, probability, rule)
    reached = _score(rule, label, probability, chosen)
    # A cut below every row, and one between any two: all there are but "nobody is positive".
    cuts = [0.0, *(np.unique(probability) - 1e-6)]
    assert reached == pytest.approx(max(_score(rule, label, probability, cut) for cut in cuts))


@pytest.mark.parametrize("rule", ["accuracy", "f1", "youden"])
def test_the_threshold_lies_half_way_between_rows(rule: str) -> None:
    assert choose_threshold(*PERFECT, rule) == pytest.approx(0.5)
    label, probability = np.array([0.0, 1.0, 1.0]), np.array([0.1, 0.2, 0.2])
    assert choose_threshold(label, probability, rule) == pytest.approx(0.15)


def test_among_equal_thresholds_the_one_nearest_to_a_half_wins() -> None:
    # Accuracy is 3/4 for a cut just below 0.9 and for one just below 0.6.
    label = np.array([1.0, 0.0, 1.0, 0.0])
    probability = np.array([0.9, 0.8, 0.6, 0.1])
    assert _score("accuracy", label, probability, 0.85) == 0.75
    assert choose_threshold(label, probability, "accuracy") == pytest.approx(0.35)


def test_one_probability_for_all_makes_everybody_positive() -> None:
    label, probability = np.array([1.0, 1.0, 0.0]), np.full(3, 0.6)
    chosen = choose_threshold(label, probability, "accuracy")
    assert chosen == pytest.approx(0.3)
    assert confusion(label, probability, chosen).true_positive == 2


def test_curves_are_scikit_learns_thinned() -> None:
    label, probability = _random(2, rows=5_000, decimals=12)
    fpr, tpr, _ = sk.roc_curve(label, probability)
    curve = roc(label, probability)
    assert len(curve.x) == len(curve.y) <= MAX_CURVE_POINTS < fpr.size
    assert set(zip(curve.x, curve.y, strict=True)) <= set(zip(fpr, tpr, strict=True))
    assert (curve.x[0], curve.y[0], curve.x[-1], curve.y[-1]) == (0.0, 0.0, 1.0, 1.0)
    assert np.trapezoid(curve.y, curve.x) == pytest.approx(
        sk.roc_auc_score(label, probability), abs=0.01
    )
    precise = precision_recall(label, probability)
    assert list(precise.x) == sorted(precise.x)
    assert (precise.x[0], precise.y[0], precise.x[-1]) == (0.0, 1.0, 1.0)


def test_calibration_bins_hold_equal_numbers_in_order() -> None:
    label, probability = _random(3, rows=103)
    bins = calibration(label, probability)
    assert [b.rows for b in bins] == [11, 11, 11] + [10] * 7
    assert [b.mean_predicted for b in bins] == sorted(b.mean_predicted for b in bins)
    assert sum(b.observed_rate * b.rows for b in bins) == pytest.approx(label.sum())
    few = calibration(np.array([0.0, 1.0]), np.array([0.9, 0.2]))
    assert [(b.mean_predicted, b.observed_rate, b.rows) for b in few] == [
        (0.2, 1.0, 1),
        (0.9, 0.0, 1),
    ]
