"""Whether the data is whole: missing, unseen and unusual values, from counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from core.monitoring.report import ColumnQuality, UnseenCategory

#: Unseen categories that are named, the most frequent first.
MOST_UNSEEN = 20


@dataclass(frozen=True)
class ColumnCounts:
    """What was counted in one column of one side."""

    rows: int
    missing: int
    #: category -> rows; empty for numbers.
    categories: Mapping[str, int] = field(default_factory=dict)
    #: Rows with a number outside the usual range.
    out_of_range: int = 0

    def merge(self, other: ColumnCounts) -> ColumnCounts:
        """Both together, as if their rows had been counted at once."""
        categories = dict(self.categories)
        for value, rows in other.categories.items():
            categories[value] = categories.get(value, 0) + rows
        return ColumnCounts(
            rows=self.rows + other.rows,
            missing=self.missing + other.missing,
            categories=categories,
            out_of_range=self.out_of_range + other.out_of_range,
        )


def usual_range(
    declared: tuple[float, float] | None, reference: npt.NDArray[np.float64]
) -> tuple[float, float] | None:
    """The contract's usual range, else the smallest and largest value of the reference.

    ``reference`` has shape (rows,), NaN for missing; ``None`` where it has no value.
    """
    if declared is not None:
        return declared
    present = reference[~np.isnan(reference)]
    return (float(present.min()), float(present.max())) if present.size else None


def count_outside(values: npt.NDArray[np.float64], usual: tuple[float, float] | None) -> int:
    """Rows outside a range, both ends inside; missing values are not outside."""
    if usual is None:
        return 0
    return int(np.count_nonzero((values < usual[0]) | (values > usual[1])))


def column_quality(
    column: str,
    reference: ColumnCounts,
    analysis: ColumnCounts,
    usual: tuple[float, float] | None = None,
) -> ColumnQuality:
    """Puts both sides of one column side by side."""
    unseen = {
        value: rows
        for value, rows in analysis.categories.items()
        if value not in reference.categories
    }
    ranked = sorted(unseen.items(), key=lambda one: (-one[1], one[0]))
    unseen_rows = sum(unseen.values())
    return ColumnQuality(
        column=column,
        missing_reference=reference.missing,
        missing_analysis=analysis.missing,
        missing_share_reference=_share(reference.missing, reference.rows),
        missing_share_analysis=_share(analysis.missing, analysis.rows),
        unseen_rows=unseen_rows,
        unseen_share=_share(unseen_rows, analysis.rows),
        unseen=tuple(
            UnseenCategory(value=value, rows=rows) for value, rows in ranked[:MOST_UNSEEN]
        ),
        usual_low=None if usual is None else usual[0],
        usual_high=None if usual is None else usual[1],
        out_of_range_rows=analysis.out_of_range,
        out_of_range_share=_share(analysis.out_of_range, analysis.rows),
        out_of_range_share_reference=_share(reference.out_of_range, reference.rows),
    )


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
