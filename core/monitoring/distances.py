"""How far two histograms with the same bins are apart. Pure functions of counts."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

#: What an empty bin counts as, in rows, where the other side has rows in it.
EMPTY_BIN_ROWS = 0.5
#: How seldom chance alone passes ``psi_by_chance``.
CHANCE = 0.001


def psi(reference: Sequence[int], analysis: Sequence[int]) -> float | None:
    """Population stability index of two histograms; ``None`` where a side has no rows.

    With shares r and a of the rows in each bin it is ``sum((a - r) * ln(a / r))``: Jeffreys'
    symmetric divergence (Kullback and Leibler 1951, "On information and sufficiency"), under
    this name in credit scoring (Siddiqi 2006, "Credit Risk Scorecards"). The usual reading is:
    below 0.1 stable, above 0.2 or 0.25 moved.

    The logarithm has no value where a bin is empty on one side: it counts as half a row
    there. A bin that is empty on both sides does not count.

    Args:
        reference: rows in each bin, a bin for missing values among them.
        analysis: rows in the same bins.
    """
    shares = _shares(reference, analysis, empty_as=EMPTY_BIN_ROWS)
    if shares is None:
        return None
    then, now = shares
    return float(np.sum((now - then) * np.log(now / then)))


def psi_by_chance(reference: Sequence[int], analysis: Sequence[int]) -> float | None:
    """The PSI that two samples of one distribution pass with probability ``CHANCE``.

    With n and m rows and B bins, PSI / (1/n + 1/m) follows the chi-squared distribution with
    B - 1 degrees of freedom (Yurdakul and Naranjo 2020, "Statistical properties of the
    population stability index", Journal of Risk Model Validation 14(4)). Its quantile is
    taken by Wilson and Hilferty's formula (1931, "The distribution of chi-square"), which is
    at most 3 % off here.
    """
    n, m = sum(reference), sum(analysis)
    if not n or not m:
        return None
    bins = sum(1 for then, now in zip(reference, analysis, strict=True) if then or now)
    if bins < 2:
        return 0.0
    spread = 2 / (9 * (bins - 1))
    root = 1 - spread + NormalDist().inv_cdf(1 - CHANCE) * sqrt(spread)
    return (1 / n + 1 / m) * (bins - 1) * root**3


def jensen_shannon(reference: Sequence[int], analysis: Sequence[int]) -> float | None:
    """Jensen-Shannon distance, 0 to 1; ``None`` where a side has no rows.

    The square root of the divergence with base 2 (Lin 1991, "Divergence measures based on the
    Shannon entropy"; Endres and Schindelin 2003 show that the root is a metric).
    """
    shares = _shares(reference, analysis, empty_as=0.0)
    if shares is None:
        return None
    then, now = shares
    middle = (then + now) / 2
    divergence = (_entropy_against(then, middle) + _entropy_against(now, middle)) / 2
    # Rounding may leave equal histograms a hair below zero.
    return float(np.sqrt(max(divergence, 0.0)))


def _entropy_against(shares: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> np.float64:
    present = shares > 0
    terms = shares[present] * np.log2(shares[present] / other[present])
    return np.float64(np.sum(terms))


def _shares(
    reference: Sequence[int], analysis: Sequence[int], *, empty_as: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]] | None:
    """Shares of rows in the bins that are not empty on both sides, shape (bins,) each."""
    then, now = np.array(reference, dtype=np.float64), np.array(analysis, dtype=np.float64)
    if then.shape != now.shape:
        raise ValueError(f"{then.size} bins cannot be compared with {now.size}")
    if not then.sum() or not now.sum():
        return None
    used = (then > 0) | (now > 0)
    return (
        np.maximum(then[used], empty_as) / then.sum(),
        np.maximum(now[used], empty_as) / now.sum(),
    )
