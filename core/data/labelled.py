"""Labelled rows of batches, as they join the rows a problem is trained on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from core.data.batch_files import AT, LABEL, Fetch, local_batch_file, only_here
from core.data.held_back import held_back, training_row_ids
from core.data.label_join import join
from core.data.labels import LabelLog
from core.data.tables import ROW_ID, read_table
from core.problems.contract import Contract, Field


@dataclass(frozen=True)
class LabelledBatch:
    """The rows of one batch whose label is known, in the columns of ``batch_file``."""

    id: str
    table: pa.Table

    @property
    def trainable(self) -> pa.Table:
        """Rows without those that are held back for judging candidates."""
        return self.table.filter(pa.array(~held_back(self.id, self._row_ids(self.table))))

    @property
    def held_back(self) -> pa.Table:
        """Rows that judge candidates and that no model learns from."""
        return self.table.filter(pa.array(held_back(self.id, self._row_ids(self.table))))

    def training_ids(self, order: int) -> npt.NDArray[np.int64]:
        """Ids of ``trainable`` among the training rows, shape (rows,)."""
        return training_row_ids(order, self._row_ids(self.trainable))

    @staticmethod
    def _row_ids(table: pa.Table) -> npt.NDArray[np.int64]:
        ids: npt.NDArray[np.int64] = table.column(ROW_ID).to_numpy()
        return ids


#: Problem and batch id -> the batch's labelled rows.
ReadLabelled = Callable[[str, str], LabelledBatch]


def read_labelled(
    home: Path, labels: LabelLog, problem: str, batch_id: str, fetch: Fetch = only_here
) -> LabelledBatch:
    """Reads the rows of a stored batch whose label came with it or later.

    Raises:
        NotFoundError: there is no such batch.
        UnavailableError: its file is missing and the store that has it does not answer.
    """
    rows = read_table(local_batch_file(home, problem, batch_id, fetch))
    table = join(rows, labels.labels_of(problem, batch_id), source=batch_id).table
    return LabelledBatch(batch_id, table.filter(table.column(LABEL).is_valid()))


def with_batches(
    source: pa.Table, contract: Contract, batches: Sequence[LabelledBatch]
) -> pa.Table:
    """Appends the trainable rows of batches to those of a problem's source.

    Args:
        source: ``row_id``, the inputs and the label, under its name, as they were read.
        contract: the problem's contract.
        batches: in an order that stays, since it decides the row ids.

    Returns:
        ``source`` itself without batches. Otherwise all rows in the types of a batch: numbers
        as float64 where the source has numbers, categories and labels as text.
    """
    if not batches:
        return source
    ids = [source.column(ROW_ID).to_numpy()]
    ids += [batch.training_ids(order) for order, batch in enumerate(batches)]
    columns: dict[str, pa.ChunkedArray] = {ROW_ID: pa.chunked_array([np.concatenate(ids)])}
    tables = [batch.trainable for batch in batches]
    for field in contract.fields:
        columns[field.name] = _joined(source.column(field.name), tables, field)
    label = contract.label
    spelled = {1.0: str(label.positive), 0.0: str(label.negative)}
    texts = _texts(source.column(label.name))
    for table in tables:
        texts += [spelled[value] for value in table.column(LABEL).to_pylist()]
    columns[label.name] = pa.chunked_array([pa.array(texts, pa.string())])
    if contract.timestamp is not None:
        times = [source.column(contract.timestamp), *(table.column(AT) for table in tables)]
        columns[contract.timestamp] = _moments(times)
    return pa.table(columns)


def as_stored(column: pa.ChunkedArray, field: Field) -> pa.ChunkedArray:
    """Values of a field in the type that batches have of it: float64 for numbers, else text.

    Raises:
        pa.ArrowInvalid: the field is a number, and not all of these texts are.
    """
    if field.type.is_numeric:
        return column.cast(pa.float64())
    return pa.chunked_array([pa.array(_texts(column), pa.string())])


def _joined(source: pa.ChunkedArray, tables: Sequence[pa.Table], field: Field) -> pa.ChunkedArray:
    added = [table.column(field.name) for table in tables]
    is_text = pa.types.is_string(source.type) or pa.types.is_large_string(source.type)
    if field.type.is_numeric and not is_text:
        return pa.chunked_array(
            [chunk for one in (source, *added) for chunk in as_stored(one, field).chunks],
            pa.float64(),
        )
    # A CSV's values are text until the contract has been asked; so are these.
    texts = [text for column in (source, *added) for text in _texts(column)]
    return pa.chunked_array([pa.array(texts, pa.string())])


def _moments(columns: Sequence[pa.ChunkedArray]) -> pa.ChunkedArray:
    """Times as ISO 8601; the contract says which are none."""
    texts = [
        value.isoformat() if isinstance(value, datetime) else value
        for column in columns
        for value in column.to_pylist()
    ]
    return pa.chunked_array([pa.array(texts, pa.string())])


def _texts(column: pa.ChunkedArray) -> list[str | None]:
    return [None if value is None else str(value) for value in column.to_pylist()]
