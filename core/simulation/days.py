"""What arrives on each day of a simulation: a pure function of the later rows and a seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from core.problems.contract import Arrivals, Contract


@dataclass(frozen=True)
class Day:
    """Rows of one day as their owner would send them, and the labels that follow later.

    ``rows`` holds every column of the source but the label; ``labels`` has shape (rows,) and
    the label's own values.
    """

    number: int
    rows: pa.Table
    labels: pa.Array


def days_of(
    later: pa.Table, contract: Contract, arrivals: Arrivals, days: int, seed: int
) -> tuple[Day, ...]:
    """Cuts the later rows into days.

    Where ``arrivals.replayed`` is set, each day is a seeded draw of all rows with
    replacement, as many as there are; otherwise the rows are dealt in their order. Numbers
    named by ``arrivals.inflation`` are multiplied in the second half of the days.

    Args:
        later: rows with the label's column.
        contract: names the label's column.
        arrivals: how the problem's rows arrive.
        days: number of days, at least 1.
        seed: of the draws.
    """
    random = np.random.default_rng(seed)
    order = np.arange(later.num_rows)
    parts = (
        [np.sort(random.choice(order, size=len(order))) for _ in range(days)]
        if arrivals.replayed
        else np.array_split(order, days)
    )
    return tuple(
        _day(number, later.take(pa.array(part)), contract, arrivals, is_late=number > days // 2)
        for number, part in enumerate(parts, start=1)
    )


def _day(
    number: int, table: pa.Table, contract: Contract, arrivals: Arrivals, *, is_late: bool
) -> Day:
    labels = table.column(contract.label.name).combine_chunks()
    rows = table.drop_columns([contract.label.name])
    return Day(number, _inflated(rows, arrivals.inflation) if is_late else rows, labels)


def _inflated(rows: pa.Table, inflation: Mapping[str, float]) -> pa.Table:
    for name, factor in inflation.items():
        place = rows.column_names.index(name)
        values = pc.multiply(rows.column(name).cast(pa.float64()), factor)
        rows = rows.set_column(place, name, values)
    return rows
