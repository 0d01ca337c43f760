"""Car loans by the million: a file as somebody would give it, written in pieces."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from core.adapters.nannyml import load_later
from core.problems.car_loan import PROBLEM
from core.problems.contract import FieldType

PIECE_ROWS = 250_000


def write_given(path: Path, rows: int, seed: int) -> None:
    """Draws rows from the later ones of the bundled data, with a little noise on numbers.

    Whole numbers stay whole. There are no labels.
    """
    contract = PROBLEM.contract
    source = load_later(PROBLEM.source.name)
    names = [*contract.names, *filter(None, [contract.timestamp])]
    random = np.random.default_rng(seed)
    writer = None
    for begin in range(0, rows, PIECE_ROWS):
        count = min(PIECE_ROWS, rows - begin)
        drawn = source.select(names).take(pa.array(random.integers(0, source.num_rows, count)))
        for field in contract.fields:
            if field.type is FieldType.NUMBER:
                values = drawn.column(field.name).to_numpy(zero_copy_only=False)
                noisy = pa.array(values * random.normal(1.0, 0.001, count), from_pandas=True)
                place = drawn.schema.get_field_index(field.name)
                drawn = drawn.set_column(place, field.name, noisy)
        writer = writer or pq.ParquetWriter(path, drawn.schema)
        writer.write_table(drawn)
    if writer is not None:
        writer.close()
