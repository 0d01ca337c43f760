"""Batches as a table to pick from."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from streamlit.column_config import DatetimeColumn, NumberColumn, TextColumn

from app.components import words
from app.components.row_table import pick_rows
from core.domain import Batch

QUERY = "batch"
_TIME = "YYYY-MM-DD HH:mm"


def pick_batch(batches: Sequence[Batch]) -> Batch | None:
    """Draws the table and returns the picked batch; the newest where none is picked yet."""
    by_id = {one.id: one for one in batches}
    has_times = any(one.first_at for one in batches)
    columns = {
        "File": TextColumn(pinned=True),
        "Added (UTC)": DatetimeColumn(format=_TIME, timezone="UTC"),
        "Age": DatetimeColumn(format="distance"),
        "Rows": NumberColumn(format="localized"),
        "Labels": NumberColumn(format="localized", help="Labels that came with the file"),
        "From (UTC)": DatetimeColumn(format=_TIME, timezone="UTC"),
        "To (UTC)": DatetimeColumn(format=_TIME, timezone="UTC"),
        "Data version": TextColumn(help="Hash by which DVC knows the stored rows"),
    }
    frame = _frame(batches, has_times=has_times)
    shown = {name: one for name, one in columns.items() if name in frame.columns}
    picked = pick_rows(frame, list(by_id), shown, query=QUERY, mode="single-row")
    return by_id[picked[0]] if picked else None


def _frame(batches: Sequence[Batch], *, has_times: bool) -> pd.DataFrame:
    # Without a zone: pyarrow's way with zoned columns is deprecated in pandas.
    added = [words.utc(one.added_at).replace(tzinfo=None) for one in batches]
    columns: dict[str, Sequence[object]] = {
        "File": [one.name for one in batches],
        "Added (UTC)": added,
        "Age": added,
        "Added by": [one.added_by for one in batches],
        "Rows": [one.rows for one in batches],
        "Labels": [one.given_labels for one in batches],
    }
    if has_times:
        for name, moments in (
            ("From (UTC)", [one.first_at for one in batches]),
            ("To (UTC)", [one.last_at for one in batches]),
        ):
            columns[name] = [
                None if one is None else words.utc(one).replace(tzinfo=None) for one in moments
            ]
    columns["Data version"] = [one.data_version for one in batches]
    columns["Id"] = [one.id for one in batches]
    return pd.DataFrame(columns)
