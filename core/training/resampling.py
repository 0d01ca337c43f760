"""Bootstrap over the holdout's rows, as weights: a resample says how often each row is drawn.

With weights one sort of the probabilities serves every resample, so that a thousand
of them take milliseconds. Weights have shape (samples, rows).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
#: Resamples times rows that are held in memory at once.
MAX_CELLS = 4_000_000


def draw_weights(label: FloatArray, samples: int, random: np.random.Generator) -> FloatArray:
    """Counts of each row in ``samples`` resamples, shape (samples, rows).

    Rows are drawn with replacement within each class, as for the intervals of the
    report, so that every resample has both.
    """
    weights = np.zeros((samples, label.size))
    # Each resample counts in cells of its own, so that one pass counts all of them.
    firsts = np.arange(samples)[:, np.newaxis]
    for value in (0.0, 1.0):
        rows = np.flatnonzero(label == value)
        if rows.size:
            drawn = random.integers(rows.size, size=(samples, rows.size)) + firsts * rows.size
            counts = np.bincount(drawn.ravel(), minlength=samples * rows.size)
            weights[:, rows] = counts.reshape(samples, rows.size)
    return weights


def weighted_auc(label: FloatArray, probability: FloatArray, weights: FloatArray) -> FloatArray:
    """AUC of every resample, shape (samples,); NaN where a class is absent.

    The Mann-Whitney form: the share of pairs of a positive and a negative row in which
    the positive one has the higher probability, a tie counting one half (Hanley & McNeil,
    "The Meaning and Use of the Area under a ROC Curve", Radiology 143, 1982).
    """
    positive, negative = np.flatnonzero(label == 1.0), np.flatnonzero(label != 1.0)
    won_by, lost_to = weights[:, positive], weights[:, negative]
    pairs = won_by.sum(axis=1) * lost_to.sum(axis=1)
    order = np.argsort(probability[negative], kind="stable")
    # Weight of the negative rows before each place of their order.
    below = np.zeros((weights.shape[0], negative.size + 1))
    np.cumsum(lost_to[:, order], axis=1, out=below[:, 1:])
    ordered = probability[negative][order]
    first, last = (
        np.searchsorted(ordered, probability[positive], side) for side in ("left", "right")
    )
    won = np.einsum("ij,ij->i", won_by, below[:, first])
    if not np.array_equal(first, last):
        won = (won + np.einsum("ij,ij->i", won_by, below[:, last])) / 2
    return np.divide(won, pairs, out=np.full(won.shape, np.nan), where=pairs > 0)


def chunks_of(samples: int, rows: int) -> list[int]:
    """How many resamples to draw at a time so that memory stays bounded."""
    most = max(1, MAX_CELLS // max(rows, 1))
    full, rest = divmod(samples, most)
    return [most] * full + ([rest] if rest else [])


def interval(drawn: FloatArray, confidence: float) -> tuple[float, float]:
    """Percentile interval of what resamples gave, shape (samples,); ``confidence`` is 0 to 1."""
    tail = (1 - confidence) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return float(low), float(high)
