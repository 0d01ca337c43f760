"""The rows of a stored batch in pieces, for batches that memory does not hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

#: Rows that a piece has about. What is in memory of one while it is scored stays below
#: some hundred MB.
PIECE_ROWS = 1 << 18


@dataclass(frozen=True)
class Piece:
    """Row groups of a Parquet file, from ``first_group`` up to the one before ``end_group``."""

    first_group: int
    end_group: int
    rows: int


def cut_pieces(path: Path, most_rows: int = PIECE_ROWS) -> tuple[Piece, ...]:
    """Cuts a Parquet file into pieces of at most so many rows, or of one row group."""
    with pq.ParquetFile(path) as file:
        groups = range(file.metadata.num_row_groups)
        sizes = [file.metadata.row_group(group).num_rows for group in groups]
    pieces: list[Piece] = []
    for group, size in enumerate(sizes):
        last = pieces[-1] if pieces else None
        if last is not None and last.rows + size <= most_rows:
            pieces[-1] = Piece(last.first_group, group + 1, last.rows + size)
        else:
            pieces.append(Piece(group, group + 1, size))
    return tuple(pieces)


def read_piece(path: Path, piece: Piece, columns: Sequence[str] | None = None) -> pa.Table:
    """Reads these columns, or all, of the rows of a piece."""
    groups = list(range(piece.first_group, piece.end_group))
    with pq.ParquetFile(path) as file:
        table = file.read_row_groups(groups, columns=None if columns is None else [*columns])
    # The reader takes a dot in a name for a path and may give more than was asked.
    return table if columns is None else table.select([*columns])


def read_pieces(path: Path, pieces: Sequence[Piece], columns: Sequence[str]) -> Iterator[pa.Table]:
    """Reads these columns, a piece at a time."""
    return (read_piece(path, piece, columns) for piece in pieces)
