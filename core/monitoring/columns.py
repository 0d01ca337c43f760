"""Each column by itself: planned from the reference, counted on both sides, compared.

Counting is the only step that touches the rows that arrived. ``tally`` does it for a table;
what was counted of parts of the rows is put together by ``merge_tallies``, in any order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from core.monitoring.distances import jensen_shannon, psi, psi_by_chance
from core.monitoring.histograms import (
    Bins,
    Histogram,
    bin_limit,
    category_bins,
    count_categories,
    count_numbers,
    count_values,
    numeric_bins,
    told_bins,
)
from core.monitoring.quality import ColumnCounts, column_quality, count_outside, usual_range
from core.monitoring.report import PROBABILITY, ColumnDrift, ColumnQuality
from core.monitoring.verdict import psi_level
from core.params_monitoring import DriftParams
from core.problems.contract import Contract


@dataclass(frozen=True)
class ColumnPlan:
    """How one column is counted."""

    column: str
    bins: Bins
    usual: tuple[float, float] | None


@dataclass(frozen=True)
class Tally:
    """What was counted of one column on one side."""

    histogram: Histogram
    counts: ColumnCounts

    def merge(self, other: Tally) -> Tally:
        """Both together, as if their rows had been counted at once.

        Raises:
            ValueError: they were counted by different plans.
        """
        return Tally(self.histogram.merge(other.histogram), self.counts.merge(other.counts))


#: Column -> what was counted of it.
Tallies = Mapping[str, Tally]


@dataclass(frozen=True)
class Compared:
    """Both sides of every column; ``features`` are those that drift most first."""

    quality: tuple[ColumnQuality, ...]
    features: tuple[ColumnDrift, ...]
    prediction: ColumnDrift


def plan_columns(
    contract: Contract, reference: pa.Table, analysis_rows: int, params: DriftParams
) -> tuple[ColumnPlan, ...]:
    """Plans every input and the probability from the reference.

    Fewer rows get fewer bins, so that the PSI tells more than noise.
    """
    rows = reference.num_rows
    most_bins = bin_limit(params.bins, rows, analysis_rows)
    most_categories = bin_limit(params.categories, rows, analysis_rows)
    plans = []
    for field in contract.fields:
        column = reference.column(field.name)
        if field.type.is_numeric:
            values = numbers(column)
            usual = usual_range(field.usual, values)
            plans.append(ColumnPlan(field.name, numeric_bins(values, most_bins), usual))
        else:
            plans.append(ColumnPlan(field.name, category_bins(column, most_categories), None))
    probability = numbers(reference.column(PROBABILITY))
    return (*plans, ColumnPlan(PROBABILITY, numeric_bins(probability, most_bins), None))


def tally(table: pa.Table, plans: Sequence[ColumnPlan]) -> Tallies:
    """Counts a side's rows."""
    return {plan.column: _tally(table.column(plan.column), plan) for plan in plans}


def merge_tallies(one: Tallies, other: Tallies) -> Tallies:
    """What was counted of two parts of a side's rows, by the same plans.

    Raises:
        ValueError: the plans differ.
    """
    if one.keys() != other.keys():
        raise ValueError("tallies of different columns cannot be merged")
    return {column: one[column].merge(other[column]) for column in one}


def _tally(column: pa.ChunkedArray, plan: ColumnPlan) -> Tally:
    if not plan.bins.is_numeric:
        histogram = count_categories(column, plan.bins)
        counts = ColumnCounts(len(column), histogram.missing, count_values(column))
        return Tally(histogram, counts)
    values = numbers(column)
    histogram = count_numbers(values, plan.bins)
    outside = count_outside(values, plan.usual)
    return Tally(histogram, ColumnCounts(len(column), histogram.missing, out_of_range=outside))


def numbers(column: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    """A column as float64 of shape (rows,), NaN for missing."""
    values: npt.NDArray[np.float64] = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    return values


def compare_columns(
    plans: Sequence[ColumnPlan],
    reference: Tallies,
    analysis: Tallies,
    before: Mapping[str, Sequence[float]],
    params: DriftParams,
) -> Compared:
    """Holds what was counted of both sides against each other.

    Args:
        plans: of every input, and of the probability as the last.
        reference: what was counted.
        analysis: the same of what arrived.
        before: PSI of earlier checks, newest first, by column.
        params: the limits.
    """
    *inputs, _ = plans
    drifts = [
        _drift(plan, reference, analysis, before.get(plan.column, ()), params) for plan in inputs
    ]
    ranked = sorted(drifts, key=_by_distance)
    features = tuple(
        drift.model_copy(update={"rank": rank}) for rank, drift in enumerate(ranked, start=1)
    )
    quality = tuple(
        column_quality(
            plan.column, reference[plan.column].counts, analysis[plan.column].counts, plan.usual
        )
        for plan in inputs
    )
    prediction = _drift(plans[-1], reference, analysis, before.get(PROBABILITY, ()), params)
    return Compared(quality, features, prediction)


def _by_distance(drift: ColumnDrift) -> tuple[float, float, str]:
    """Key of the order: PSI and then Jensen-Shannon distance, the largest first."""
    return (-(drift.psi or 0.0), -(drift.jensen_shannon or 0.0), drift.column)


def _drift(
    plan: ColumnPlan,
    reference: Tallies,
    analysis: Tallies,
    before: Sequence[float],
    params: DriftParams,
) -> ColumnDrift:
    then, now = reference[plan.column].histogram, analysis[plan.column].histogram
    value, by_chance = psi(then.counts, now.counts), psi_by_chance(then.counts, now.counts)
    return ColumnDrift(
        column=plan.column,
        kind="number" if plan.bins.is_numeric else "category",
        rank=0,
        psi=value,
        psi_by_chance=by_chance,
        jensen_shannon=jensen_shannon(then.counts, now.counts),
        level=psi_level(value, by_chance, before, params),
        bins=told_bins(then, now),
        note="" if value is not None else "one of the sides has no rows",
    )
