"""How the values of a column are spread over bins. Pure functions of values.

Bins are made from the reference alone; rows are then counted into them, at once or piece by
piece, and everything that looks at distributions takes the counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from core.monitoring.report import Bin

FloatArray = npt.NDArray[np.float64]
OTHER, MISSING = "other", "missing"
#: The PSI that two samples of one distribution may have on average; decides how many bins
#: so many rows can fill.
MOST_NOISE = 0.05
FEWEST_BINS = 2


@dataclass(frozen=True)
class Bins:
    """Where the values of one column go.

    A number goes into bin ``i`` if ``edges[i - 1] < value <= edges[i]``; the first and the
    last bin are open. A category goes into its own bin, or into ``other``. A missing value
    has the last bin.
    """

    is_numeric: bool
    edges: tuple[float, ...] = ()
    categories: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Number of bins, those for other and missing values included."""
        return len(self.edges) + 2 if self.is_numeric else len(self.categories) + 2


@dataclass(frozen=True)
class Histogram:
    """Rows in each bin, in the order of ``Bins``."""

    bins: Bins
    counts: tuple[int, ...]

    @property
    def rows(self) -> int:
        """Rows counted."""
        return sum(self.counts)

    @property
    def missing(self) -> int:
        """Rows without a value."""
        return self.counts[-1]

    def merge(self, other: Histogram) -> Histogram:
        """Both together, as if their rows had been counted at once.

        Raises:
            ValueError: the bins differ.
        """
        if self.bins != other.bins:
            raise ValueError("histograms with different bins cannot be merged")
        counts = zip(self.counts, other.counts, strict=True)
        return Histogram(self.bins, tuple(one + more for one, more in counts))


def bin_limit(most: int, reference_rows: int, analysis_rows: int) -> int:
    """How many bins so many rows can fill without the PSI being mostly noise; 2 to ``most``.

    Between two samples of one distribution the PSI is on average (bins - 1) (1/n + 1/m); see
    ``distances.psi_by_chance``. It is kept below ``MOST_NOISE``.
    """
    if min(reference_rows, analysis_rows) < 1:
        return FEWEST_BINS
    noise_of_one = 1 / reference_rows + 1 / analysis_rows
    return max(FEWEST_BINS, min(most, 1 + int(MOST_NOISE / noise_of_one)))


def numeric_bins(reference: FloatArray, most: int) -> Bins:
    """Bins of about equal rows of the reference; one a value where there are few values.

    Args:
        reference: values of shape (rows,), NaN for missing.
        most: most bins, at least 2.
    """
    present = reference[np.isfinite(reference)]
    if present.size == 0:
        return Bins(is_numeric=True)
    values = np.unique(present)
    if values.size <= most:
        return Bins(is_numeric=True, edges=_around_each(values))
    # Edges are values of the data, so that ties stay together.
    shares = np.arange(1, most) / most
    edges = np.unique(np.quantile(present, shares, method="inverted_cdf"))
    # Nothing of the reference lies above its largest value: such a bin would be empty.
    inner = edges[edges < values[-1]]
    return Bins(is_numeric=True, edges=tuple(float(edge) for edge in inner))


def _around_each(values: FloatArray) -> tuple[float, ...]:
    """Edges between neighbours, and beyond both ends, so that what is new shows."""
    between = (values[:-1] + values[1:]) / 2
    below = np.nextafter(values[0], -np.inf)
    return tuple(float(edge) for edge in (below, *between, values[-1]))


def category_bins(reference: pa.ChunkedArray, most: int) -> Bins:
    """One bin for each of the most frequent categories of the reference; the rest are other."""
    found = [(rows, value) for value, rows in count_values(reference).items()]
    ranked = sorted(found, key=lambda one: (-one[0], one[1]))
    return Bins(is_numeric=False, categories=tuple(value for _, value in ranked[:most]))


def count_values(column: pa.ChunkedArray) -> dict[str, int]:
    """Rows of each category; missing values are not among them."""
    counted = pc.value_counts(column.drop_null())
    values, rows = counted.field("values").to_pylist(), counted.field("counts").to_pylist()
    return dict(zip(values, rows, strict=True))


def count_numbers(values: FloatArray, bins: Bins) -> Histogram:
    """Counts numbers of shape (rows,), NaN for missing, into bins."""
    present = values[~np.isnan(values)]
    places = np.searchsorted(np.array(bins.edges), present, side="left")
    counts = np.bincount(places, minlength=len(bins.edges) + 1)
    return Histogram(bins, (*(int(c) for c in counts), int(values.size - present.size)))


def count_categories(column: pa.ChunkedArray, bins: Bins) -> Histogram:
    """Counts categories, null for missing, into bins."""
    rows = count_values(column)
    known = tuple(rows.get(category, 0) for category in bins.categories)
    other = sum(rows.values()) - sum(known)
    return Histogram(bins, (*known, other, int(column.null_count)))


def told_bins(reference: Histogram, analysis: Histogram) -> tuple[Bin, ...]:
    """Both histograms side by side, without bins that are empty on both sides.

    Raises:
        ValueError: the histograms have different bins.
    """
    if reference.bins != analysis.bins:
        raise ValueError("histograms with different bins cannot be told side by side")
    shares = zip(_shares(reference), _shares(analysis), strict=True)
    rows = zip(reference.counts, analysis.counts, strict=True)
    return tuple(
        one.model_copy(
            update={
                "reference_rows": then,
                "analysis_rows": now,
                "reference_share": share_then,
                "analysis_share": share_now,
            }
        )
        for one, (then, now), (share_then, share_now) in zip(
            _labels(reference.bins), rows, shares, strict=True
        )
        if then or now
    )


def _shares(histogram: Histogram) -> Sequence[float]:
    rows = histogram.rows
    return [count / rows if rows else 0.0 for count in histogram.counts]


def _labels(bins: Bins) -> Iterator[Bin]:
    empty = {
        "reference_rows": 0,
        "analysis_rows": 0,
        "reference_share": 0.0,
        "analysis_share": 0.0,
    }
    if bins.is_numeric:
        lows, highs = (None, *bins.edges), (*bins.edges, None)
        for low, high in zip(lows, highs, strict=True):
            yield Bin(kind="range", label=_range_label(low, high), low=low, high=high, **empty)
    else:
        for category in bins.categories:
            yield Bin(kind="category", label=category, **empty)
        yield Bin(kind="other", label=OTHER, **empty)
    yield Bin(kind="missing", label=MISSING, **empty)


def _range_label(low: float | None, high: float | None) -> str:
    if low is None and high is None:
        return "any"
    if low is None:
        return f"up to {high:.6g}"
    return f"above {low:.6g}" if high is None else f"{low:.6g} to {high:.6g}"
