"""Runs as a table to pick from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Literal

import pandas as pd
from streamlit.column_config import DatetimeColumn, NumberColumn, TextColumn
from streamlit.elements.lib.column_types import ColumnConfig

from app.components import words
from app.components.row_table import pick_rows
from core.domain import Run

if TYPE_CHECKING:
    from core.training.experiments import RunSummary

#: Metrics with a column of their own, in order; further ones stay in the run's details.
_METRICS = ("auc", "cv_auc", "accuracy", "precision", "recall", "f1", "log_loss", "brier")
#: What a run cost, in order; shares are shown in percent.
_COSTS = ("core_seconds", "peak_rss_mb", "mean_utilization", "gc_share")
_SHARES = frozenset({"mean_utilization", "gc_share"})


def runs_frame(runs: Sequence[Run], now: datetime) -> pd.DataFrame:
    """Runs as rows, in the order given: identity, outcome, time and cause."""
    return pd.DataFrame(
        {
            "Run": [words.short_id(run.id) for run in runs],
            "Status": [words.status_word(run.status) for run in runs],
            "Version": _versions(runs),
            # Without a zone: pyarrow's way with zoned columns is deprecated in pandas.
            "Started (UTC)": [words.utc(run.started_at).replace(tzinfo=None) for run in runs],
            "Age": [words.utc(run.started_at).replace(tzinfo=None) for run in runs],
            "Duration": [words.elapsed(run, now) for run in runs],
            "Profile": [run.profile for run in runs],
            "Started by": [run.started_by for run in runs],
            "Why it failed": [run.error or "" for run in runs],
        }
    )


def summaries_frame(summaries: Sequence[RunSummary], now: datetime) -> pd.DataFrame:
    """Runs with family, metrics and parameters, in the order given."""
    runs = runs_frame([one.run for one in summaries], now)
    runs.insert(3, "Family", [words.family_name(one.family) for one in summaries])
    metrics = pd.DataFrame(
        {
            words.metric_name(name): pd.array(
                [one.metrics.get(name) for one in summaries], dtype="Float64"
            )
            for name in _METRICS
        }
    )
    # What is in the run's row already, its duration, is not told twice.
    costs = pd.DataFrame(
        {
            words.COSTS[name]: pd.array(
                [one.metrics.get(name) for one in summaries], dtype="Float64"
            )
            for name in _COSTS
        }
    )
    # The family has a column of its own already.
    parameters = sorted({key for one in summaries for key in one.params} - {"family"})
    settings = pd.DataFrame(
        {key: [one.params.get(key, "") for one in summaries] for key in parameters}
    )
    head, tail = runs.iloc[:, :4], runs.iloc[:, 4:]
    return pd.concat([head, metrics, costs, tail, settings], axis=1)


def pick_runs(
    frame: pd.DataFrame,
    run_ids: Sequence[str],
    *,
    query: str,
    mode: Literal["single-row", "multi-row"],
    height: int | Literal["auto"] = "auto",
    hidden: Sequence[str] = (),
) -> tuple[str, ...]:
    """Draws the table and returns the ids of the picked runs; see ``pick_rows``."""
    columns = _columns(frame)
    return pick_rows(frame, run_ids, columns, query=query, mode=mode, height=height, hidden=hidden)


def _versions(runs: Sequence[Run]) -> Sequence[str]:
    return ["" if run.model_version is None else f"v{run.model_version}" for run in runs]


def _columns(frame: pd.DataFrame) -> Mapping[str, ColumnConfig]:
    config: dict[str, ColumnConfig] = {
        "Run": TextColumn(help="The first eight characters of the MLflow run id", pinned=True),
        "Started (UTC)": DatetimeColumn(format="YYYY-MM-DD HH:mm", timezone="UTC"),
        "Age": DatetimeColumn(format="distance"),
        "Duration": NumberColumn(format="compact", help="Hours, minutes and seconds"),
        "Why it failed": TextColumn(width="medium"),
    }
    for name in _METRICS:
        less = "Less is better." if name in words.LOWER_IS_BETTER else "More is better."
        where = "Mean over the folds." if name == "cv_auc" else "On the fixed holdout."
        config[words.metric_name(name)] = NumberColumn(format="%.3f", help=f"{where} {less}")
    for name in _COSTS:
        digits = "percent" if name in _SHARES else "%.0f"
        config[words.COSTS[name]] = NumberColumn(format=digits)
    return {column: one for column, one in config.items() if column in frame.columns}
