"""Car loans by the million: a file as somebody would give it, written in pieces."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.drawn import draw
from core.adapters.nannyml import load_later
from core.problems.car_loan import PROBLEM

PIECE_ROWS = 250_000


def write_given(path: Path, rows: int, seed: int) -> None:
    """Draws rows from the later ones of the bundled data. There are no labels."""
    contract = PROBLEM.contract
    source = load_later(PROBLEM.source.name)
    names = [*contract.names, *filter(None, [contract.timestamp])]
    random = np.random.default_rng(seed)
    writer = None
    for begin in range(0, rows, PIECE_ROWS):
        count = min(PIECE_ROWS, rows - begin)
        places = pa.array(random.integers(0, source.num_rows, count))
        drawn = draw(source.select(names), places, random)
        writer = writer or pq.ParquetWriter(path, drawn.schema)
        writer.write_table(drawn)
    if writer is not None:
        writer.close()
