"""The holdout's rows with what a model said of them: what runs are compared on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from core.data.tables import ROW_ID, read_table, write_table
from core.errors import InvalidInputError
from core.problems.contract import Columns, Contract

FloatArray = npt.NDArray[np.float64]
#: As the stages name them; imported from there, they would bring Spark to every reader.
LABEL, PROBABILITY = "label", "probability"


@dataclass(frozen=True, eq=False)
class HoldoutPredictions:
    """One model on the holdout, in order of ``row_id``; every array has shape (rows,).

    ``label`` is 0.0 or 1.0, ``probability`` that of the positive class, ``columns`` the
    contract's inputs as ``Columns`` says.
    """

    row_id: npt.NDArray[np.int64]
    label: FloatArray
    probability: FloatArray
    columns: Columns

    @property
    def rows(self) -> int:
        """Rows of the holdout."""
        return int(self.row_id.size)


def write_predictions(
    holdout: pa.Table, probability: FloatArray, contract: Contract, path: Path
) -> None:
    """Writes ``row_id``, label, probability and the inputs; equal values, equal bytes.

    Args:
        holdout: validated rows with ``row_id`` and label, in the order of ``probability``.
        probability: of the positive class, shape (rows,).
        contract: names the inputs to keep.
        path: the Parquet file.
    """
    told = holdout.select([ROW_ID, LABEL]).append_column(
        PROBABILITY, pa.array(probability, pa.float64())
    )
    for name in contract.names:
        told = told.append_column(name, holdout.column(name))
    # Spark's partitions decide the order of the rows otherwise.
    write_table(told.sort_by(ROW_ID).combine_chunks(), path)


def read_predictions(path: Path) -> HoldoutPredictions:
    """Reads what ``write_predictions`` wrote.

    Raises:
        InvalidInputError: the file is something else.
    """
    table = read_table(path)
    missing = {ROW_ID, LABEL, PROBABILITY} - set(table.column_names)
    if missing:
        raise InvalidInputError(
            f"The predictions lack the columns {', '.join(sorted(missing))}.",
            fix="Run the training again.",
        )
    own = (ROW_ID, LABEL, PROBABILITY)
    return HoldoutPredictions(
        row_id=table.column(ROW_ID).to_numpy().astype(np.int64),
        label=table.column(LABEL).to_numpy().astype(np.float64),
        probability=table.column(PROBABILITY).to_numpy().astype(np.float64),
        columns={
            name: _values(table.column(name)) for name in table.column_names if name not in own
        },
    )


def _values(column: pa.ChunkedArray) -> npt.NDArray[np.generic]:
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return np.array(column.to_pylist(), dtype=object)
    values: FloatArray = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    return values
