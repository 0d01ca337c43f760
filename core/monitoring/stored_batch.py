"""A batch on disk, looked at in pieces: its rows are never in memory all at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from core.data.batch_files import AT, LABEL, Fetch, only_here
from core.data.batch_pieces import Piece, cut_pieces, read_piece, read_pieces
from core.data.held_back import held_back
from core.data.tables import ROW_ID
from core.monitoring.arrivals import LateLabels, require_batch_file
from core.monitoring.sampling import Keys, Span, choose, in_order_of_time, span

#: Whether a row is among those that are looked at; by row id, shape (rows of the batch,).
Marks = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class StoredBatch:
    """The rows of a batch, with every label that is known by now.

    Memory holds a piece, a byte a row, and the labels of one file of the log.
    """

    path: Path
    problem: str
    batch_id: str
    labels: LateLabels
    pieces: tuple[Piece, ...]
    #: Brings the file on another node, which may not have it.
    fetch: Fetch = only_here

    @property
    def rows(self) -> int:
        """Rows in all."""
        return sum(piece.rows for piece in self.pieces)

    @cached_property
    def is_labelled(self) -> Marks:
        """Whether each row's label is known."""
        marks = np.zeros(self.rows, np.bool_)
        for table in read_pieces(self.path, self.pieces, [ROW_ID, LABEL]):
            marks[_ids(table.filter(table.column(LABEL).is_valid()))] = True
        for ids in self.labels.row_ids(self.problem, self.batch_id):
            # A label may be of a row that does not exist.
            marks[ids[(ids >= 0) & (ids < self.rows)]] = True
        return marks

    @property
    def trainable_rows(self) -> int:
        """Labelled rows without those that are held back for judging candidates."""
        return int(np.count_nonzero(~held_back(self.batch_id, np.flatnonzero(self.is_labelled))))

    @cached_property
    def span(self) -> Span | None:
        """When the first and the last row happened; ``None`` where that is not known of all."""
        if AT not in pq.read_schema(self.path).names:
            return None
        spans = [span(table) for table in read_pieces(self.path, self.pieces, [AT])]
        known = [one for one in spans if one is not None]
        if not known or len(known) < len(spans):
            return None
        return min(first for first, _ in known), max(last for _, last in known)

    def sample(self, most: int, seed: int) -> pa.Table:
        """The rows that ``sampling.draw`` takes of the whole batch, in order of time."""
        return self._sample(np.ones(self.rows, np.bool_), most, seed)

    def labelled_sample(self, most: int, seed: int) -> pa.Table:
        """The same of the rows whose label is known."""
        return self._sample(self.is_labelled, most, seed)

    def _sample(self, among: Marks, most: int, seed: int) -> pa.Table:
        choice = choose(self._ids_among(among), most, seed)
        parts: list[pa.Table] = []
        for piece in self.pieces:
            ids = _ids(read_piece(self.path, piece, [ROW_ID]))
            chosen = among[ids] & choice.holds(ids)
            # Of a piece without chosen rows nothing else is read; the first has the columns.
            if chosen.any() or not parts:
                parts.append(read_piece(self.path, piece).filter(pa.array(chosen)))
        return in_order_of_time(
            self.labels.join(self.problem, pa.concat_tables(parts), self.batch_id)
        )

    def _ids_among(self, among: Marks) -> Iterator[Keys]:
        for table in read_pieces(self.path, self.pieces, [ROW_ID]):
            ids = _ids(table)
            yield ids[among[ids]]


def open_batch(
    home: Path, problem: str, batch_id: str, labels: LateLabels, fetch: Fetch = only_here
) -> StoredBatch:
    """Opens a batch; its rows are read when they are asked for.

    Raises:
        NotFoundError: the batch's file is gone.
        UnavailableError: it is missing and the store that has it does not answer.
    """
    path = require_batch_file(home, problem, batch_id, fetch)
    return StoredBatch(path, problem, batch_id, labels, cut_pieces(path), fetch)


def _ids(rows: pa.Table) -> Keys:
    ids: Keys = rows.column(ROW_ID).to_numpy()
    return ids
