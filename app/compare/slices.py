"""Slices of the holdout as a table."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from core.training.comparison import SliceComparison
from core.training.verdicts import slice_verdict


def slices_frame(slices: Sequence[SliceComparison]) -> pd.DataFrame:
    """Slices as rows in the order given, numbers of the baseline before the candidate's."""

    def numbers(values: Sequence[float | None]) -> pd.Series[float]:
        return pd.Series(list(values), dtype="Float64")

    return pd.DataFrame(
        {
            "Column": [one.column for one in slices],
            "Value": [one.value for one in slices],
            "Verdict": [slice_verdict(one) for one in slices],
            "Rows": [one.rows for one in slices],
            "Positives": [one.positives for one in slices],
            "AUC difference": numbers([one.difference for one in slices]),
            "P(better)": numbers([one.probability_better for one in slices]),
            "AUC, baseline": numbers([one.baseline.auc for one in slices]),
            "AUC": numbers([one.candidate.auc for one in slices]),
            "Precision, baseline": numbers([one.baseline.precision for one in slices]),
            "Precision": numbers([one.candidate.precision for one in slices]),
            "Recall, baseline": numbers([one.baseline.recall for one in slices]),
            "Recall": numbers([one.candidate.recall for one in slices]),
        }
    )
