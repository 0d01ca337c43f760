"""Rows of both sides as NannyML takes them: in order of time, at most so many."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from core.data.batch_files import AT, LABEL
from core.data.row_hashes import row_hashes
from core.data.tables import ROW_ID, contract_columns
from core.deployment.inference_log import REQUEST_ID
from core.monitoring.chunks import Times, as_datetime, cut_analysis, cut_reference
from core.monitoring.columns import numbers
from core.monitoring.detector import Sample
from core.monitoring.report import PROBABILITY
from core.params_monitoring import ChunkParams
from core.problems.contract import Contract

#: When the first and the last row happened.
Span = tuple[datetime, datetime]
#: What tells the rows of a side apart, shape (rows,).
Keys = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Choice:
    """A seeded choice of rows: those whose hash is not above ``largest``.

    A row's key alone decides, so it is the same rows wherever they lie and in however many
    parts they are read.
    """

    seed: int
    largest: np.uint64

    def holds(self, keys: Keys) -> npt.NDArray[np.bool_]:
        """Which rows are chosen, shape (rows,)."""
        return _hashes(self.seed, keys) <= self.largest


def choose(parts: Iterable[Keys], most: int, seed: int) -> Choice:
    """Chooses ``most`` rows, or all where there are no more.

    Args:
        parts: keys of all rows, in any order; no two rows share one.
        most: how many.
        seed: another one gives other rows.
    """
    smallest = np.empty(0, np.uint64)
    for keys in parts:
        smallest = np.concatenate([smallest, _hashes(seed, keys)])
        if smallest.size > most:
            smallest = np.partition(smallest, most - 1)[:most]
    return Choice(seed, smallest.max(initial=np.uint64(0)))


def _hashes(seed: int, keys: Keys) -> npt.NDArray[np.uint64]:
    return row_hashes(f"sample/{seed}", keys)


def draw(table: pa.Table, most: int, seed: int) -> pa.Table:
    """At most ``most`` rows by a seeded choice, in the order of the table."""
    if table.num_rows <= most:
        return table
    keys = _keys(table)
    return table.filter(pa.array(choose([keys], most, seed).holds(keys)))


def _keys(table: pa.Table) -> Keys:
    """The row ids, or the places of rows that have none or are of many requests."""
    if ROW_ID not in table.column_names or REQUEST_ID in table.column_names:
        return np.arange(table.num_rows)
    keys: Keys = table.column(ROW_ID).to_numpy()
    return keys


def in_order_of_time(table: pa.Table) -> pa.Table:
    """Rows sorted by time where it is known, else as they are."""
    return table.sort_by(AT) if AT in table.column_names else table


def times(table: pa.Table) -> Times | None:
    """When each row happened, shape (rows,); ``None`` where that is not known of all."""
    if AT not in table.column_names or table.column(AT).null_count:
        return None
    moments = table.column(AT).cast(pa.timestamp("us", "UTC"))
    values: Times = moments.to_numpy(zero_copy_only=False).astype("datetime64[us]")
    return values


def span(table: pa.Table) -> Span | None:
    """When the first and the last row happened; ``None`` where that is not known of all."""
    at = times(table)
    return (as_datetime(at.min()), as_datetime(at.max())) if at is not None and at.size else None


def known_labels(table: pa.Table) -> int:
    """Rows whose label is known."""
    if LABEL not in table.column_names:
        return 0
    return int(pc.count(table.column(LABEL), mode="only_valid").as_py())


def build_sample(
    contract: Contract,
    reference: pa.Table,
    analysis: pa.Table,
    threshold: float,
    chunks: ChunkParams,
) -> Sample:
    """Puts two drawn tables into frames and cuts them.

    Both hold the contract's fields and ``probability``; the reference has every label.
    """
    analysis_cut = cut_analysis(analysis.num_rows, times(analysis), chunks)
    return Sample(
        reference=_frame(contract, reference),
        analysis=_frame(contract, analysis),
        reference_cut=cut_reference(reference.num_rows, analysis_cut),
        analysis_cut=analysis_cut,
        numeric=tuple(f.name for f in contract.fields if f.type.is_numeric),
        categorical=tuple(f.name for f in contract.fields if not f.type.is_numeric),
        threshold=threshold,
    )


def _frame(contract: Contract, table: pa.Table) -> pd.DataFrame:
    frame = pd.DataFrame(
        {
            name: np.where(pd.isna(values), np.nan, values) if values.dtype == object else values
            for name, values in contract_columns(table, contract).items()
        }
    )
    frame[PROBABILITY] = numbers(table.column(PROBABILITY))
    has_labels = LABEL in table.column_names
    frame[LABEL] = numbers(table.column(LABEL)) if has_labels else np.nan
    return frame
