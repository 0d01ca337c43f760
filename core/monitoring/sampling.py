"""Rows of both sides as NannyML takes them: in order of time, at most so many."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from core.data.batch_files import AT, LABEL
from core.data.tables import contract_columns
from core.monitoring.chunks import Times, cut_analysis, cut_reference
from core.monitoring.columns import numbers
from core.monitoring.detector import Sample
from core.monitoring.report import PROBABILITY
from core.params_monitoring import ChunkParams
from core.problems.contract import Contract


def draw(table: pa.Table, most: int, seed: int) -> pa.Table:
    """At most ``most`` rows by a seeded choice, in the order of the table."""
    if table.num_rows <= most:
        return table
    chosen = np.random.default_rng(seed).choice(table.num_rows, most, replace=False)
    return table.take(pa.array(np.sort(chosen)))


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
