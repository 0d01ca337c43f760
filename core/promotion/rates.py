"""Precision, recall and calibration of both models, with how far chance may carry them.

Pure functions. Rates are those of each model at its own threshold.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from core.domain import Verdict
from core.monitoring.calibration import calibration_error, calibration_error_by_chance
from core.params_promotion import PromotionParams
from core.problems.contract import Label
from core.promotion.evidence import (
    Calibration,
    ClassRates,
    Difference,
    Judged,
    Rates,
    RowSet,
    SliceRates,
)
from core.promotion.paired import Pair, resampled_sums
from core.promotion.verdicts import loss_verdict, worst
from core.training.comparison import Resampling, slices_of
from core.training.evaluation import calibration_rows
from core.training.resampling import interval

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
#: A rate of fewer rows than these hangs on single rows, and a bootstrap of them on nothing.
MIN_RATE_ROWS = 10
#: Columns of counts that a group has: see ``_counts``.
_COUNTS = 5


@dataclass(frozen=True)
class Thresholds:
    """Probabilities of the positive class from which on a label is positive."""

    candidate: float
    incumbent: float


@dataclass(frozen=True, eq=False)
class _Group:
    """Rows that are looked at together, shape (rows,), and the class that is asked for."""

    rows: BoolArray
    positive: bool = True


@dataclass(frozen=True)
class _Found:
    candidate: Rates
    incumbent: Rates
    precision: Difference | None
    recall: Difference | None

    def verdict(self, most: float) -> Verdict:
        known = [one for one in (self.precision, self.recall) if one is not None]
        return worst([loss_verdict(one, most) for one in known])


def judge_rows(
    rows_of: RowSet,
    pair: Pair,
    thresholds: Thresholds,
    label: Label,
    policy: PromotionParams,
    how: Resampling,
) -> Judged:
    """Both models by class, by slice of every input, and their calibration."""
    everything = np.ones(pair.candidate.rows, dtype=np.bool_)
    classes = [_Group(everything, positive=True), _Group(everything, positive=False)]
    named = [
        (column, value, _mask(rows, everything.size))
        for column, values in pair.candidate.columns.items()
        for value, rows in slices_of(values)
    ]
    groups = [*classes, *(_Group(mask) for _, _, mask in named)]
    counts = np.hstack([_counts(pair, thresholds, group) for group in groups])
    gaps = np.hstack([_gaps(pair, True), _gaps(pair, False)])
    sums = resampled_sums(pair.label, np.hstack([counts, gaps]), how)
    found = [
        _found(
            counts[:, place : place + _COUNTS].sum(axis=0),
            sums[:, place : place + _COUNTS],
            how.confidence,
        )
        for place in range(0, counts.shape[1], _COUNTS)
    ]
    slices = [
        _slice(column, value, pair.label[mask], rates, policy)
        for (column, value, mask), rates in zip(named, found[2:], strict=True)
    ]
    return Judged(
        rows_of=rows_of,
        classes=tuple(
            _class(group.positive, label, pair.label, rates, policy)
            for group, rates in zip(classes, found[:2], strict=True)
        ),
        slices=tuple(sorted(slices, key=_worst_first)),
        calibration=_calibration(pair, gaps.shape[1] // 2, sums[:, counts.shape[1] :], how),
    )


def _mask(rows: npt.NDArray[np.intp], size: int) -> BoolArray:
    mask = np.zeros(size, dtype=np.bool_)
    mask[rows] = True
    return mask


def _counts(pair: Pair, thresholds: Thresholds, group: _Group) -> FloatArray:
    """0 or 1 for each row, shape (rows, 5).

    Of the class; called so by the candidate, and rightly; called so by the incumbent, and
    rightly.
    """
    actual = (pair.label == 1.0) == group.positive
    columns = [actual]
    for model, threshold in (
        (pair.candidate, thresholds.candidate),
        (pair.incumbent, thresholds.incumbent),
    ):
        called = (model.probability >= threshold) == group.positive
        columns += [called, called & actual]
    return np.stack([column & group.rows for column in columns], axis=1).astype(np.float64)


def _found(observed: FloatArray, drawn: FloatArray, confidence: float) -> _Found:
    actual, candidate_called, _, incumbent_called, _ = observed
    now, then = _rates(observed[np.newaxis]), _rates(drawn)
    least_called = min(candidate_called, incumbent_called)
    return _Found(
        candidate=_told(now[0, 0], now[0, 1]),
        incumbent=_told(now[0, 2], now[0, 3]),
        precision=_difference(now[:, (0, 2)], then[:, (0, 2)], least_called, confidence),
        recall=_difference(now[:, (1, 3)], then[:, (1, 3)], actual, confidence),
    )


def _rates(counts: FloatArray) -> FloatArray:
    """Precision and recall of the candidate, then of the incumbent; NaN where undefined.

    ``counts`` are sums of ``_counts``, shape (samples, 5); the result is (samples, 4).
    """
    hits = counts[:, (2, 2, 4, 4)]
    of = counts[:, (1, 0, 3, 0)]
    rates: FloatArray = np.divide(hits, of, out=np.full(hits.shape, np.nan), where=of > 0)
    return rates


def _told(precision: float, recall: float) -> Rates:
    return Rates(
        precision=None if np.isnan(precision) else float(precision),
        recall=None if np.isnan(recall) else float(recall),
    )


def _difference(
    now: FloatArray, then: FloatArray, rows: float, confidence: float
) -> Difference | None:
    drawn = then[:, 0] - then[:, 1]
    drawn = drawn[~np.isnan(drawn)]
    if rows < MIN_RATE_ROWS or not drawn.size:
        return None
    low, high = interval(drawn, confidence)
    return Difference(value=float(now[0, 0] - now[0, 1]), low=low, high=high)


def _class(
    positive: bool, label: Label, actual: FloatArray, found: _Found, policy: PromotionParams
) -> ClassRates:
    rows = int(np.sum((actual == 1.0) == positive))
    enough = rows >= policy.minimum_class_rows
    return ClassRates(
        positive=positive,
        label=str(label.positive if positive else label.negative),
        rows=rows,
        candidate=found.candidate,
        incumbent=found.incumbent,
        precision_difference=found.precision,
        recall_difference=found.recall,
        verdict=found.verdict(policy.class_loss) if enough else Verdict.CANNOT_TELL,
    )


def _slice(
    column: str, value: str, actual: FloatArray, found: _Found, policy: PromotionParams
) -> SliceRates:
    told = found.precision is not None or found.recall is not None
    too_small = actual.size < policy.minimum_slice_rows or not told
    return SliceRates(
        column=column,
        value=value,
        rows=actual.size,
        positives=int(actual.sum()),
        candidate=found.candidate,
        incumbent=found.incumbent,
        precision_difference=found.precision,
        recall_difference=found.recall,
        verdict=Verdict.CANNOT_TELL if too_small else found.verdict(policy.slice_loss),
        too_small=too_small,
    )


def _worst_first(one: SliceRates) -> tuple[bool, float, str, str]:
    known = [d.value for d in (one.precision_difference, one.recall_difference) if d is not None]
    return one.too_small, min(known, default=0.0), one.column, one.value


def _gaps(pair: Pair, of_candidate: bool) -> FloatArray:
    """Probability minus label of each row in the column of its bin, shape (rows, bins)."""
    probability = (pair.candidate if of_candidate else pair.incumbent).probability
    bins = calibration_rows(probability)
    gaps = np.zeros((probability.size, len(bins)))
    for place, rows in enumerate(bins):
        gaps[rows, place] = probability[rows] - pair.label[rows]
    return gaps


def _calibration(pair: Pair, bins: int, drawn: FloatArray, how: Resampling) -> Calibration:
    label, ours, theirs = pair.label, pair.candidate.probability, pair.incumbent.probability
    errors = np.abs(drawn) / label.size
    low, high = interval(
        errors[:, :bins].sum(axis=1) - errors[:, bins:].sum(axis=1), how.confidence
    )
    candidate, incumbent = calibration_error(label, ours), calibration_error(label, theirs)
    return Calibration(
        rows=label.size,
        candidate=candidate,
        incumbent=incumbent,
        difference=Difference(value=candidate - incumbent, low=low, high=high),
        by_chance=calibration_error_by_chance(ours),
    )
