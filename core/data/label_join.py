"""Puts labels to the rows they belong to, and says what became of each label."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
import pyarrow as pa

from core.data.batch_files import AT, LABEL
from core.data.labels import SOURCE
from core.data.tables import ROW_ID
from core.wording import count

_REQUEST_ID = "request_id"
_KEY = [SOURCE, ROW_ID]


@dataclass(frozen=True)
class LabelsReport:
    """What became of labels; each is in one of the four numbers."""

    #: Became the label of a row.
    joined: int
    #: Say again what the row's label says.
    duplicates: int
    #: Say something else than the row's first label, which stays.
    conflicts: int
    #: Belong to no row.
    strangers: int


def labels_sentence(report: LabelsReport) -> str:
    """What became of labels, for people."""
    parts = [f"{count(report.joined, 'label')} joined"]
    for number, what in (
        (report.duplicates, "known already"),
        (report.conflicts, "against a label that came first, which stays"),
        (report.strangers, "of rows that nobody knows"),
    ):
        if number:
            parts.append(f"{number:,} {what}")
    return ", ".join(parts) + "."


@dataclass(frozen=True, eq=False)
class LabelledRows:
    """Rows with the column ``label``: 0.0, 1.0, or null where none is known."""

    table: pa.Table
    report: LabelsReport


def join(rows: pa.Table, labels: pa.Table, *, source: str | None = None) -> LabelledRows:
    """Joins labels to rows by source and index; the first label of a row wins.

    Args:
        rows: with ``row_id`` and either ``request_id`` or a common ``source``; no row twice.
            A label that a row already has came before all others.
        labels: of ``LABEL_SCHEMA``, in any order.
        source: id of the batch that all rows are from.
    """
    keys = pd.DataFrame({ROW_ID: rows.column(ROW_ID).to_pandas()})
    keys[SOURCE] = rows.column(_REQUEST_ID).to_pandas() if source is None else source
    known = rows.column(LABEL).to_pandas() if LABEL in rows.column_names else None
    keys["known"] = float("nan") if known is None else known.astype("float64")

    ordered = labels.sort_by([(name, "ascending") for name in (AT, SOURCE, ROW_ID, LABEL)])
    given = ordered.select([*_KEY, LABEL]).to_pandas()
    first = given.drop_duplicates(_KEY, keep="first")
    joined = keys.merge(first, how="left", on=_KEY, validate="one_to_one")
    joined["final"] = joined["known"].fillna(joined[LABEL])

    told = given.merge(joined[[*_KEY, "final"]], how="left", on=_KEY)
    taken = int((joined["known"].isna() & joined[LABEL].notna()).sum())
    same = int((told["final"] == told[LABEL]).sum())
    strangers = int(told["final"].isna().sum())
    report = LabelsReport(
        joined=taken,
        duplicates=same - taken,
        conflicts=len(told) - same - strangers,
        strangers=strangers,
    )
    column = pa.Array.from_pandas(joined["final"], type=pa.float64())
    bare = rows.drop_columns([LABEL]) if known is not None else rows
    return LabelledRows(bare.append_column(LABEL, column), report)
