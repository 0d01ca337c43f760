"""Cuts rows into chunks along time. Pure functions of values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Literal

import numpy as np
import numpy.typing as npt

from core.monitoring.report import Chunk
from core.params_monitoring import ChunkParams, period_of

Period = Literal["reference", "analysis"]
#: When each row happened, shape (rows,), in order.
Times = npt.NDArray[np.datetime64]
#: Thresholds come from the scatter over the reference's chunks, so there have to be some;
#: many more tell little more and cost NannyML its time.
FEWEST_REFERENCE_CHUNKS, MOST_REFERENCE_CHUNKS = 5, 20


@dataclass(frozen=True)
class Cut:
    """Chunks of ``rows`` rows in order: each from its first row up to the row after its last.

    Rows between two chunks belong to none.
    """

    rows: int
    spans: tuple[tuple[int, int], ...]

    @property
    def size(self) -> int:
        """Number of chunks."""
        return len(self.spans)


def whole(rows: int) -> Cut:
    """All rows as one chunk."""
    return Cut(rows, ((0, rows),))


def cut_analysis(rows: int, at: Times | None, params: ChunkParams) -> Cut:
    """Cuts what arrived: by time where that is asked for and known, else into equal parts."""
    if at is not None and params.period is not None:
        return _cut_by_time(at, period_of(params.period), params.minimum_rows)
    return equal_parts(rows, min(params.number, rows // params.minimum_rows))


def cut_reference(rows: int, analysis: Cut) -> Cut:
    """Cuts the reference into chunks as large as those of the analysis.

    A value scatters the more the fewer rows it is of, so thresholds from larger chunks would
    raise alerts without a cause. Where the reference has too few rows for
    ``FEWEST_REFERENCE_CHUNKS``, its chunks are smaller, and thresholds wider. Where it has
    rows for more than ``MOST_REFERENCE_CHUNKS``, as many are taken at even distances.
    """
    typical = int(np.median([end - begin for begin, end in analysis.spans]))
    parts = equal_parts(rows, max(FEWEST_REFERENCE_CHUNKS, rows // max(typical, 1)))
    if parts.size <= MOST_REFERENCE_CHUNKS:
        return parts
    taken = np.linspace(0, parts.size - 1, MOST_REFERENCE_CHUNKS).astype(int)
    return Cut(rows, tuple(parts.spans[place] for place in taken))


def equal_parts(rows: int, number: int) -> Cut:
    """Cuts rows into at most ``number`` chunks, which differ by one row at most."""
    parts = max(1, min(number, rows))
    return _cut_at([part * rows // parts for part in range(parts + 1)])


def _cut_at(bounds: Sequence[int]) -> Cut:
    return Cut(bounds[-1], tuple(pairwise(bounds)))


def _cut_by_time(at: Times, period: timedelta, least: int) -> Cut:
    """One chunk a period; one with too few rows goes with its neighbour."""
    step = np.timedelta64(int(period.total_seconds() * 1e6), "us")
    place = (at.astype("datetime64[us]") - np.datetime64(0, "us")) // step
    starts = [0, *(int(row) + 1 for row in np.flatnonzero(np.diff(place)))]
    bounds = [0]
    for start in starts[1:]:
        if start - bounds[-1] >= least:
            bounds.append(start)
    if len(bounds) > 1 and at.size - bounds[-1] < least:
        bounds.pop()
    return _cut_at([*bounds, int(at.size)])


def told_chunks(cut: Cut, at: Times | None, period: Period) -> tuple[Chunk, ...]:
    """What the report says of the chunks; labels are times where they are known."""
    told = []
    for begin, end in cut.spans:
        start_at = None if at is None else as_datetime(at[begin])
        end_at = None if at is None else as_datetime(at[end - 1])
        label = f"{begin + 1} to {end}" if start_at is None else f"{start_at:%Y-%m-%d %H:%M}"
        told.append(
            Chunk(
                period=period,
                label=label,
                rows=end - begin,
                first_row=begin,
                last_row=end - 1,
                start_at=start_at,
                end_at=end_at,
            )
        )
    return tuple(told)


def as_datetime(moment: np.datetime64) -> datetime:
    """A moment in UTC as Python has it."""
    microseconds = int(moment.astype("datetime64[us]").astype(np.int64))
    return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=microseconds)
