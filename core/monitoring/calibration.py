"""Whether probabilities mean what they say. Pure functions of values."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from core.training.evaluation import calibration_rows

FloatArray = npt.NDArray[np.float64]


def calibration_error(label: FloatArray, probability: FloatArray) -> float:
    """Expected calibration error: how far predicted and observed rates lie apart, 0 to 1.

    Over bins of equal rows, the mean of ``|mean probability - observed rate|``, weighted with
    rows (Naeini, Cooper and Hauskrecht 2015, "Obtaining well calibrated probabilities using
    Bayesian binning", with equal-frequency bins).

    Args:
        label: 0.0 or 1.0, shape (rows,).
        probability: of the positive class, shape (rows,).
    """
    gaps = [
        abs(probability[rows].sum() - label[rows].sum()) for rows in calibration_rows(probability)
    ]
    return float(sum(gaps) / label.size)


def calibration_error_by_chance(probability: FloatArray) -> float:
    """The error to expect of perfectly calibrated probabilities, which so many labels show.

    In a bin, the sum of labels is about normal with variance ``sum(p * (1 - p))``, and the
    mean absolute deviation of a normal distribution is sqrt(2 / pi) standard deviations.
    """
    spread = [
        np.sqrt((probability[rows] * (1 - probability[rows])).sum())
        for rows in calibration_rows(probability)
    ]
    return float(np.sqrt(2 / np.pi) * sum(spread) / probability.size)
