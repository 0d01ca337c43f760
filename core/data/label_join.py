"""Puts labels to the rows they belong to, and says what became of each label."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from core.data.batch_files import AT, LABEL
from core.data.labels import SOURCE
from core.data.tables import ROW_ID
from core.wording import count

_REQUEST_ID = "request_id"
_KEY = [SOURCE, ROW_ID]
#: Column that says what became of a label.
FATE = "fate"


class Fate(StrEnum):
    """What became of a label."""

    #: It is the label of a row.
    JOINED = "joined"
    #: It says again what the row's label says.
    DUPLICATE = "duplicate"
    #: It says something else than the row's first label, which stays.
    CONFLICT = "conflict"
    #: It belongs to no row.
    STRANGER = "stranger"


@dataclass(frozen=True)
class LabelsReport:
    """How many labels had which fate; each is in one of the four numbers."""

    joined: int
    duplicates: int
    conflicts: int
    strangers: int

    @property
    def fates(self) -> dict[Fate, int]:
        """The same by the name of the fate."""
        numbers = (self.joined, self.duplicates, self.conflicts, self.strangers)
        return dict(zip(Fate, numbers, strict=True))


def report_of(fates: pa.ChunkedArray) -> LabelsReport:
    """Counts fates, as they stand in the column ``fate``."""
    found = {one["values"]: one["counts"] for one in pc.value_counts(fates).to_pylist()}
    return LabelsReport(*(found.get(fate.value, 0) for fate in Fate))


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
    #: The labels in the order they were given, each with its ``fate``.
    labels: pa.Table

    @property
    def report(self) -> LabelsReport:
        """What became of the labels."""
        return report_of(self.labels.column(FATE))


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

    # A row that had a label of its own takes none.
    is_first = ~given.duplicated(_KEY, keep="first")
    told = given.merge(joined[[*_KEY, "known", "final"]], how="left", on=_KEY)
    is_joined = is_first.to_numpy() & told["known"].isna() & told["final"].notna()
    cases = (is_joined, told["final"].isna(), told["final"] == told[LABEL])
    fates = np.select(cases, (Fate.JOINED, Fate.STRANGER, Fate.DUPLICATE), Fate.CONFLICT)
    judged = ordered.append_column(FATE, pa.array(fates.tolist(), pa.string()))
    column = pa.Array.from_pandas(joined["final"], type=pa.float64())
    bare = rows.drop_columns([LABEL]) if known is not None else rows
    return LabelledRows(bare.append_column(LABEL, column), judged)
