"""What one run tried and what its data looked like, as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from app.components import words
from core.training.report import Candidate, ColumnSummary


def candidates_frame(candidates: Sequence[Candidate]) -> pd.DataFrame:
    """The search, best candidate first; those that were given up come last."""
    ordered = sorted(candidates, key=lambda one: (one.pruned, -one.mean_auc))
    return pd.DataFrame(
        {
            "Candidate": [one.index for one in ordered],
            "Family": [words.family_name(one.family) for one in ordered],
            "Parameters": [_listed(one.params) for one in ordered],
            "Mean AUC": [one.mean_auc for one in ordered],
            "Standard error": [one.standard_error for one in ordered],
            "Folds": [_folds(one) for one in ordered],
            "Time (s)": [one.seconds for one in ordered],
        }
    )


def columns_frame(columns: Sequence[ColumnSummary]) -> pd.DataFrame:
    """Missing values of every input and what they become."""
    return pd.DataFrame(
        {
            "Column": [one.column for one in columns],
            "Rows": [one.rows for one in columns],
            "Missing": [one.missing for one in columns],
            "Share missing": [
                f"{one.missing / one.rows:.1%}" if one.rows else words.NOTHING for one in columns
            ],
            "A missing value becomes": [_fill(one.fill_value) for one in columns],
        }
    )


def _folds(candidate: Candidate) -> str:
    listed = ", ".join(words.number(auc) for auc in candidate.fold_auc)
    return f"{listed}, then given up" if candidate.pruned else listed


def _listed(params: Mapping[str, float | int | str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in sorted(params.items()))


def _fill(value: float | str | None) -> str:
    if value is None:
        return "nothing: it must be given"
    return f"{value:g}" if isinstance(value, float) else value
