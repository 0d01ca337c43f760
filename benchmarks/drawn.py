"""Rows of the bundled car loans as often as a benchmark wants them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from core.problems.car_loan import PROBLEM
from core.problems.contract import FieldType

_NOISY = [field.name for field in PROBLEM.contract.fields if field.type is FieldType.NUMBER]


def draw(table: pa.Table, rows: pa.Array, random: np.random.Generator) -> pa.Table:
    """Takes ``rows`` of a table by their places, with a thousandth of noise on the numbers.

    Whole numbers stay whole.
    """
    drawn = table.take(rows)
    for name in _NOISY:
        values = drawn.column(name).to_numpy(zero_copy_only=False)
        noisy = pa.array(values * random.normal(1.0, 0.001, len(rows)), from_pandas=True)
        drawn = drawn.set_column(drawn.schema.get_field_index(name), name, noisy)
    return drawn
