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
    for value in (0.0, 1.0):
        rows = np.flatnonzero(label == value)
        if rows.size:
            share = np.full(rows.size, 1 / rows.size)
            weights[:, rows] = random.multinomial(rows.size, share, size=samples)
    return weights


def weighted_auc(label: FloatArray, probability: FloatArray, weights: FloatArray) -> FloatArray:
    """AUC of every resample, shape (samples,); NaN where a class is absent.

    The Mann-Whitney form: the share of pairs of a positive and a negative row in which
    the positive one has the higher probability, a tie counting one half (Hanley & McNeil,
    "The Meaning and Use of the Area under a ROC Curve", Radiology 143, 1982).
    """
    _, group = np.unique(probability, return_inverse=True)
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    positive = np.add.reduceat((weights * label)[:, order], starts, axis=1)
    negative = np.add.reduceat((weights * (1 - label))[:, order], starts, axis=1)
    below = np.cumsum(negative, axis=1) - negative / 2
    pairs = positive.sum(axis=1) * negative.sum(axis=1)
    won = (positive * below).sum(axis=1)
    return np.divide(won, pairs, out=np.full(won.shape, np.nan), where=pairs > 0)


def chunks_of(samples: int, rows: int) -> list[int]:
    """How many resamples to draw at a time so that memory stays bounded."""
    most = max(1, MAX_CELLS // max(rows, 1))
    full, rest = divmod(samples, most)
    return [most] * full + ([rest] if rest else [])
