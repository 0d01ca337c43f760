"""Both models on the same rows: AUC, rates by class and slice, calibration. Pure functions.

Whatever is compared is drawn from the same resamples of the same rows for both models, within
each class (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, ch. 8 and 13).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from core.promotion.evidence import AucDifference, BatchRows, RowsComparison, RowSet
from core.promotion.verdicts import ROUNDING
from core.training.comparison import (
    Incomparable,
    Resampling,
    auc_differences,
    share_better,
    why_incomparable,
)
from core.training.predictions import HoldoutPredictions
from core.training.resampling import chunks_of, draw_weights, interval, weighted_auc

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Pair:
    """What both models say of the same rows, of which neither has learned from any."""

    candidate: HoldoutPredictions
    incumbent: HoldoutPredictions

    @property
    def label(self) -> FloatArray:
        """0.0 or 1.0, shape (rows,)."""
        return self.candidate.label

    @property
    def positives(self) -> int:
        """Rows of the positive class."""
        return int(self.label.sum())


def shared_rows(
    candidate: HoldoutPredictions, incumbent: HoldoutPredictions
) -> Pair | Incomparable:
    """Rows that are in the holdouts of both; others may have taught one of the two.

    With the same source and split that is all of them.
    """
    _, ours, theirs = np.intersect1d(
        candidate.row_id, incumbent.row_id, assume_unique=True, return_indices=True
    )
    pair = Pair(taken(candidate, ours), taken(incumbent, theirs))
    if not ours.size:
        return Incomparable("The holdouts of the two models have no row in common.")
    if not _same_inputs(pair):
        return Incomparable("The two holdouts have other values in rows of the same number.")
    return why_incomparable(pair.incumbent, pair.candidate) or pair


def _same_inputs(pair: Pair) -> bool:
    mine, other = pair.candidate.columns, pair.incumbent.columns
    return all(
        np.array_equal(mine[name], other[name], equal_nan=mine[name].dtype.kind == "f")
        for name in mine
        if name in other and mine[name].dtype.kind == other[name].dtype.kind
    )


def taken(of: HoldoutPredictions, rows: npt.NDArray[np.intp]) -> HoldoutPredictions:
    """Predictions of some rows, by their places."""
    columns = {name: values[rows] for name, values in of.columns.items()}
    return HoldoutPredictions(of.row_id[rows], of.label[rows], of.probability[rows], columns)


def joined(pairs: Sequence[Pair]) -> Pair:
    """All rows of some pairs, one at least, with the columns that every one has."""
    return Pair(
        _appended([pair.candidate for pair in pairs]),
        _appended([pair.incumbent for pair in pairs]),
    )


def _appended(parts: Sequence[HoldoutPredictions]) -> HoldoutPredictions:
    return HoldoutPredictions(
        row_id=np.concatenate([part.row_id for part in parts]),
        label=np.concatenate([part.label for part in parts]),
        probability=np.concatenate([part.probability for part in parts]),
        columns={
            name: np.concatenate([part.columns[name] for part in parts])
            for name in parts[0].columns
            if all(name in part.columns for part in parts)
        },
    )


def compare_rows(
    rows_of: RowSet,
    pair: Pair,
    margin: float,
    how: Resampling,
    *,
    available_rows: int | None = None,
    batches: Sequence[BatchRows] = (),
) -> RowsComparison:
    """AUC of both and its difference; with one class only there is neither."""
    alike = why_incomparable(pair.incumbent, pair.candidate)
    return RowsComparison(
        rows_of=rows_of,
        rows=pair.candidate.rows,
        positives=pair.positives,
        available_rows=pair.candidate.rows if available_rows is None else available_rows,
        batches=tuple(batches),
        candidate_auc=None if alike else _auc(pair.candidate),
        incumbent_auc=None if alike else _auc(pair.incumbent),
        difference=None if alike else _auc_difference(pair, margin, how),
        note="These rows have one class only, so that there is no AUC." if alike else "",
    )


def _auc(of: HoldoutPredictions) -> float:
    return float(weighted_auc(of.label, of.probability, np.ones((1, of.rows)))[0])


def _auc_difference(pair: Pair, margin: float, how: Resampling) -> AucDifference:
    found = auc_differences(pair.incumbent, pair.candidate, how)
    low, high = interval(found.drawn, how.confidence)
    return AucDifference(
        value=found.observed,
        low=low,
        high=high,
        probability_better=share_better(found.drawn),
        probability_by_margin=float(np.mean(found.drawn >= margin - ROUNDING)),
        samples=how.samples,
        confidence=how.confidence,
    )


def resampled_sums(label: FloatArray, columns: FloatArray, how: Resampling) -> FloatArray:
    """Sums of ``columns``, shape (rows, k), over each resample of the rows: (samples, k)."""
    random = np.random.default_rng(how.seed)
    return np.concatenate(
        [
            draw_weights(label, samples, random) @ columns
            for samples in chunks_of(how.samples, label.size)
        ]
    )
