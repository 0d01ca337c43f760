"""Pointwise bands around the curves of one run: how far the holdout's rows carry."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from core.training.comparison import Resampling
from core.training.evaluation import calibration_rows
from core.training.predictions import HoldoutPredictions
from core.training.resampling import chunks_of, draw_weights

FloatArray = npt.NDArray[np.float64]
GRID_POINTS = 51


@dataclass(frozen=True)
class Band:
    """Between ``low`` and ``high`` lies the curve at ``x``; three tuples of one length."""

    x: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True)
class CurveBands:
    """Bands of the three curves; each holds at every x alone, not along the whole curve."""

    roc: Band
    precision_recall: Band
    calibration: Band


def curve_bands(predictions: HoldoutPredictions, how: Resampling) -> CurveBands:
    """Percentile bands over resamples of the holdout (Efron & Tibshirani 1993, ch. 13).

    ROC: true positive rate by false positive rate (vertical averaging, Fawcett, "An
    introduction to ROC analysis", 2006). Precision by recall: the precision at the highest
    threshold that reaches the recall. Calibration is not resampled, see ``_wilson``.
    """
    label, probability = predictions.label, predictions.probability
    random = np.random.default_rng(how.seed)
    grid = np.linspace(0, 1, GRID_POINTS)
    drawn: list[tuple[FloatArray, FloatArray]] = []
    for samples in chunks_of(how.samples, label.size):
        weights = draw_weights(label, samples, random)
        counts = _cumulated(label, probability, weights)
        drawn.append((_true_positive_rates(*counts, grid), _precisions(*counts, grid)))
    roc, precision = (np.concatenate(parts) for parts in zip(*drawn, strict=True))
    return CurveBands(
        roc=_band(grid, roc, how.confidence),
        precision_recall=_band(grid, precision, how.confidence),
        calibration=_wilson(label, probability, how.confidence),
    )


def _wilson(label: FloatArray, probability: FloatArray, confidence: float) -> Band:
    """Interval of the observed rate in each calibration bin (Wilson, JASA 22, 1927).

    A bin with no positive row has none in any resample either: the bootstrap would be
    certain of a rate of 0 after a dozen rows.
    """
    bins = calibration_rows(probability)
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    rate = np.array([label[rows].mean() for rows in bins])
    rows = np.array([len(rows) for rows in bins])
    centre = (rate + z**2 / (2 * rows)) / (1 + z**2 / rows)
    half = z / (1 + z**2 / rows) * np.sqrt(rate * (1 - rate) / rows + (z / (2 * rows)) ** 2)
    x = [probability[rows].mean() for rows in bins]
    # Rounding must not leave the unit interval, nor the rate of 0 or 1 outside.
    low = np.minimum(np.clip(centre - half, 0, 1), rate)
    high = np.maximum(np.clip(centre + half, 0, 1), rate)
    return Band(tuple(map(float, x)), tuple(map(float, low)), tuple(map(float, high)))


def _band(x: FloatArray, values: FloatArray, confidence: float) -> Band:
    tail = (1 - confidence) / 2
    low, high = np.quantile(values, [tail, 1 - tail], axis=0)
    return Band(tuple(map(float, x)), tuple(map(float, low)), tuple(map(float, high)))


def _cumulated(
    label: FloatArray, probability: FloatArray, weights: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Positives and negatives at or above each distinct probability, from the highest.

    Both have shape (samples, distinct + 1) and begin with 0.
    """
    _, group = np.unique(-probability, return_inverse=True)
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))

    def cumulated(of: FloatArray) -> FloatArray:
        groups = np.add.reduceat((weights * of)[:, order], starts, axis=1)
        return np.pad(np.cumsum(groups, axis=1), ((0, 0), (1, 0)))

    return cumulated(label), cumulated(1 - label)


def _true_positive_rates(
    positive: FloatArray, negative: FloatArray, grid: FloatArray
) -> FloatArray:
    out = np.empty((positive.shape[0], grid.size))
    for index, (hits, alarms) in enumerate(zip(positive, negative, strict=True)):
        rates = alarms / alarms[-1]
        # At one false positive rate the curve is a vertical step: its upper end counts.
        last = np.append(np.flatnonzero(np.diff(rates)), rates.size - 1)
        out[index] = np.interp(grid, rates[last], hits[last] / hits[-1])
    return out


def _precisions(positive: FloatArray, negative: FloatArray, grid: FloatArray) -> FloatArray:
    out = np.empty((positive.shape[0], grid.size))
    for index, (hits, alarms) in enumerate(zip(positive, negative, strict=True)):
        # The first row is "nothing predicted positive", which has no precision.
        reached = np.searchsorted(hits[1:] / hits[-1], grid - 1e-12, side="left") + 1
        predicted = hits[reached] + alarms[reached]
        # Rows of the highest probabilities may not have been drawn: nothing is wrong yet.
        out[index] = np.divide(
            hits[reached], predicted, out=np.ones(grid.size), where=predicted > 0
        )
    return out
