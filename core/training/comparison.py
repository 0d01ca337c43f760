"""Which of two models is better on the same holdout, by how much and how surely."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from core.training.predictions import HoldoutPredictions
from core.training.resampling import chunks_of, draw_weights, interval, weighted_auc

FloatArray = npt.NDArray[np.float64]
#: Below them a slice says more about its few rows than about the models.
MIN_SLICE_ROWS = 20
MIN_SLICE_CLASS_ROWS = 5
QUANTILE_BINS = 4
#: A number with at most so many values is sliced by value, as a category is.
MAX_DISTINCT = 4
#: Categories beyond the most frequent ones share a slice.
MAX_CATEGORIES = 12
MISSING, OTHER = "missing", "other"


@dataclass(frozen=True)
class Resampling:
    """How to bootstrap: the number of resamples, the interval's confidence, the seed."""

    samples: int
    confidence: float
    seed: int


@dataclass(frozen=True)
class Incomparable:
    """Why two runs cannot be compared row by row, as a sentence."""

    reason: str


@dataclass(frozen=True)
class AucComparison:
    """A candidate against a baseline; ``difference`` is candidate minus baseline."""

    difference: float
    low: float
    high: float
    #: Share of the resamples in which the candidate is better; a tie counts one half.
    probability_better: float
    rows: int
    samples: int
    confidence: float


@dataclass(frozen=True)
class SliceScore:
    """One model on the rows of a slice at its own threshold; None where undefined."""

    precision: float | None
    recall: float | None
    auc: float | None


@dataclass(frozen=True)
class SliceComparison:
    """Both models on the rows where ``column`` is ``value``."""

    column: str
    value: str
    rows: int
    positives: int
    baseline: SliceScore
    candidate: SliceScore
    #: AUC, candidate minus baseline; None where the slice has one class only.
    difference: float | None
    #: As in ``AucComparison``, on the slice's rows alone.
    probability_better: float | None
    too_small: bool


def why_incomparable(
    baseline: HoldoutPredictions, candidate: HoldoutPredictions
) -> Incomparable | None:
    """Two runs are comparable if they were measured on the same rows with the same labels."""
    if not np.array_equal(baseline.row_id, candidate.row_id):
        shared = np.intersect1d(baseline.row_id, candidate.row_id).size
        return Incomparable(
            f"The two runs were measured on different rows: {baseline.rows:,} and "
            f"{candidate.rows:,}, of which {shared:,} are the same."
        )
    if not np.array_equal(baseline.label, candidate.label):
        return Incomparable("The two runs disagree about the labels of the holdout.")
    if np.unique(baseline.label).size < 2:
        return Incomparable("The holdout has one class only, so that there is no AUC.")
    return None


def compare_auc(
    baseline: HoldoutPredictions, candidate: HoldoutPredictions, how: Resampling
) -> AucComparison | Incomparable:
    """Paired bootstrap of the difference in AUC, with a percentile interval.

    Both models are scored on the same resamples of the same rows, so that what they have
    in common cancels out (Efron & Tibshirani, "An Introduction to the Bootstrap", 1993,
    ch. 8 and 13). DeLong, DeLong & Clarke-Pearson (Biometrics 44, 1988) have a closed form
    for the variance instead, whose normal approximation is poor for small holdouts and
    for AUCs near 1. The share of resamples in which the candidate wins is read as the
    probability that it is better on other rows from where these came.
    """
    reason = why_incomparable(baseline, candidate)
    if reason:
        return reason
    found = auc_differences(baseline, candidate, how)
    low, high = interval(found.drawn, how.confidence)
    return AucComparison(
        difference=found.observed,
        low=low,
        high=high,
        probability_better=share_better(found.drawn),
        rows=baseline.rows,
        samples=how.samples,
        confidence=how.confidence,
    )


@dataclass(frozen=True, eq=False)
class AucDifferences:
    """Candidate minus baseline on the rows as they are, and on each resample: (samples,)."""

    observed: float
    drawn: FloatArray


def auc_differences(
    baseline: HoldoutPredictions, candidate: HoldoutPredictions, how: Resampling
) -> AucDifferences:
    """Scores two comparable models on the same resamples; see ``compare_auc``."""
    label = baseline.label
    observed = _differences(baseline, candidate, label, np.ones((1, label.size)))
    random = np.random.default_rng(how.seed)
    drawn = [
        _differences(baseline, candidate, label, draw_weights(label, samples, random))
        for samples in chunks_of(how.samples, label.size)
    ]
    return AucDifferences(float(observed[0]), np.concatenate(drawn))


def _differences(
    baseline: HoldoutPredictions,
    candidate: HoldoutPredictions,
    label: FloatArray,
    weights: FloatArray,
) -> FloatArray:
    better = weighted_auc(label, candidate.probability, weights)
    return better - weighted_auc(label, baseline.probability, weights)


def share_better(differences: FloatArray) -> float:
    """Share of resamples in which the candidate is better; a tie counts one half."""
    # Equal rankings differ by rounding only, which must not decide for one side.
    ties = np.isclose(differences, 0.0, atol=1e-12)
    return float(np.mean(np.where(ties, 0.5, differences > 0)))


def compare_slices(
    baseline: HoldoutPredictions,
    candidate: HoldoutPredictions,
    thresholds: tuple[float, float],
    how: Resampling,
) -> tuple[SliceComparison, ...]:
    """Both models on every slice of the holdout, what got worse first.

    Slices that are too small to tell come last, before them those with one class only.

    Args:
        baseline: comparable with ``candidate``, see ``why_incomparable``.
        candidate: the model in question.
        thresholds: decision thresholds of baseline and candidate.
        how: the bootstrap, drawn within each slice.
    """
    found = []
    for column, values in baseline.columns.items():
        for value, rows in slices_of(values):
            pair = (_rows(baseline, rows), _rows(candidate, rows))
            found.append(_compare_slice(column, value, pair, thresholds, how))
    return tuple(sorted(found, key=_worst_first))


@dataclass(frozen=True)
class Judgement:
    """A candidate held against a baseline; incomparable runs have no slices."""

    auc: AucComparison | Incomparable
    slices: tuple[SliceComparison, ...]


def judge(
    baseline: HoldoutPredictions,
    candidate: HoldoutPredictions,
    thresholds: tuple[float, float],
    how: Resampling,
) -> Judgement:
    """Both models on all rows and on every slice; ``thresholds`` as in ``compare_slices``."""
    overall = compare_auc(baseline, candidate, how)
    if isinstance(overall, Incomparable):
        return Judgement(overall, ())
    return Judgement(overall, compare_slices(baseline, candidate, thresholds, how))


def _worst_first(one: SliceComparison) -> tuple[bool, bool, float, str, str]:
    undefined = one.difference is None
    return one.too_small, undefined, one.difference or 0.0, one.column, one.value


def _rows(of: HoldoutPredictions, rows: npt.NDArray[np.intp]) -> HoldoutPredictions:
    return HoldoutPredictions(of.row_id[rows], of.label[rows], of.probability[rows], {})


def _compare_slice(
    column: str,
    value: str,
    pair: tuple[HoldoutPredictions, HoldoutPredictions],
    thresholds: tuple[float, float],
    how: Resampling,
) -> SliceComparison:
    compared = compare_auc(*pair, how)
    label = pair[0].label
    positives = int(label.sum())
    smaller_class = min(positives, label.size - positives)
    known = compared if isinstance(compared, AucComparison) else None
    return SliceComparison(
        column=column,
        value=value,
        rows=label.size,
        positives=positives,
        baseline=_score(pair[0], thresholds[0]),
        candidate=_score(pair[1], thresholds[1]),
        difference=known.difference if known else None,
        probability_better=known.probability_better if known else None,
        too_small=label.size < MIN_SLICE_ROWS or smaller_class < MIN_SLICE_CLASS_ROWS,
    )


def _score(of: HoldoutPredictions, threshold: float) -> SliceScore:
    actual = of.label == 1.0
    predicted = of.probability >= threshold
    hits = int(np.sum(actual & predicted))
    auc = float(weighted_auc(of.label, of.probability, np.ones((1, of.rows)))[0])
    return SliceScore(
        precision=hits / int(predicted.sum()) if predicted.any() else None,
        recall=hits / int(actual.sum()) if actual.any() else None,
        auc=None if np.isnan(auc) else auc,
    )


def slices_of(values: npt.NDArray[np.generic]) -> list[tuple[str, npt.NDArray[np.intp]]]:
    """Divides rows by a column: a name and the rows of each slice; no slice is empty.

    A category's values, each distinct value of a number with few, quantile bins of a
    number with many, named by the smallest and the largest value in them; missing values
    are a slice of their own, the last one.
    """
    is_number = values.dtype.kind in "fiu"
    missing = np.isnan(values.astype(float)) if is_number else np.array([v is None for v in values])
    known = np.flatnonzero(~missing)
    if is_number:
        slices = _slices_of_numbers(values[known].astype(float), known)
    else:
        slices = _slices_of_categories([str(one) for one in values[known]], known)
    lacking = np.flatnonzero(missing)
    return [*slices, (MISSING, lacking)] if lacking.size else slices


def _slices_of_numbers(
    values: FloatArray, rows: npt.NDArray[np.intp]
) -> list[tuple[str, npt.NDArray[np.intp]]]:
    distinct = np.unique(values)
    if distinct.size <= MAX_DISTINCT:
        return [(f"{one:g}", rows[values == one]) for one in distinct]
    shares = np.arange(1, QUANTILE_BINS) / QUANTILE_BINS
    # Values of the data as edges, so that no bin is empty and equal ones are one edge.
    edges = np.unique(np.quantile(values, shares, method="inverted_cdf"))
    bins = np.searchsorted(edges, values, side="left")
    slices = []
    for index in np.unique(bins):
        inside = values[bins == index]
        low, high = f"{inside.min():g}", f"{inside.max():g}"
        slices.append((low if low == high else f"{low} – {high}", rows[bins == index]))
    return slices


def _slices_of_categories(
    values: list[str], rows: npt.NDArray[np.intp]
) -> list[tuple[str, npt.NDArray[np.intp]]]:
    told = np.array(values, dtype=object)
    names, counts = np.unique(np.array(values, dtype=str), return_counts=True)
    frequent = sorted(names[np.argsort(-counts, kind="stable")[:MAX_CATEGORIES]].tolist())
    slices = [(name, rows[told == name]) for name in frequent]
    rest = rows[~np.isin(np.array(values, dtype=str), frequent)]
    return [*slices, (OTHER, rest)] if rest.size else slices
