"""A Parquet file in chunks, its types brought down to numbers, text and times."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from core.data.names import shown_name
from core.data.reading import (
    Chunk,
    neither,
    require_columns,
    require_decoded,
    require_rows,
    without_rows,
)
from core.errors import InvalidInputError, Offence
from core.params_intake import IntakeParams

CHUNK_ROWS = 1 << 16
#: Read ahead of a column, so that a row group is never whole in memory.
_BUFFER_BYTES = 1 << 20


class ParquetFile:
    """A Parquet file whose columns hold plain values.

    Somebody else's file is read by ``core.data.confined``, which does it with this class in a
    process of its own.
    """

    def __init__(self, path: Path, name: str, limits: IntakeParams | None = None) -> None:
        self.name = name
        self.malformed: list[Offence] = []
        self._limits = limits
        try:
            self._file = pq.ParquetFile(path, buffer_size=_BUFFER_BYTES)
            self._types = {field.name: field.type for field in self._file.schema_arrow}
            self.names = tuple(self._file.schema_arrow.names)
        except MemoryError:
            raise
        except (pa.ArrowException, OSError, UnicodeDecodeError) as exc:
            raise neither(name) from exc
        if not self.rows:
            raise without_rows(name)
        require_rows(name, self.rows, limits)
        require_columns(name, self._file.metadata.num_columns, limits)
        require_decoded(name, self._promised_bytes(), limits)

    @property
    def rows(self) -> int:
        """Rows that the file says it has."""
        return int(self._file.metadata.num_rows)

    @property
    def malformed_rows(self) -> int:
        """Always none: a row of Parquet has every column."""
        return 0

    def chunks(self, columns: Sequence[str]) -> Iterator[Chunk]:
        """Yields these columns of every row: float64, int64, string, or a date or time."""
        self._check_types(columns)
        total, read, size = self.rows, 0, 0
        try:
            for batch in self._file.iter_batches(CHUNK_ROWS, columns=list(columns)):
                # The reader takes a dot in a name for a path and may give more than was asked.
                table = pa.table({one: _plain(batch.column(one)) for one in columns})
                rows = np.arange(read, read + batch.num_rows, dtype=np.int64)
                read += batch.num_rows
                size += table.nbytes
                require_decoded(self.name, size, self._limits)
                yield Chunk(table, rows, read / total)
        except MemoryError:
            raise
        except (pa.ArrowException, OSError) as exc:
            raise InvalidInputError(
                f"The file {self.name} is damaged: it ends or breaks after row {read}.",
                fix="Write it again.",
            ) from exc

    def _promised_bytes(self) -> int:
        """Bytes of the decompressed pages, as the file itself says."""
        metadata = self._file.metadata
        return sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))

    def _check_types(self, columns: Sequence[str]) -> None:
        strange = [name for name in columns if not _is_plain(self._types[name])]
        if strange:
            kinds = {name: shown_name(str(self._types[name])) for name in strange}
            raise InvalidInputError(
                f"{self.name} has values that are neither numbers, texts nor times in "
                f"{strange[0]} ({kinds[strange[0]]}).",
                fix="Save these columns as plain numbers or texts.",
                offences=[Offence(name, f"is of type {kinds[name]}") for name in strange],
            )


def _is_plain(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_plain(kind.value_type)
    tests = (
        pa.types.is_null,
        pa.types.is_boolean,
        pa.types.is_integer,
        pa.types.is_floating,
        pa.types.is_decimal,
        pa.types.is_string,
        pa.types.is_large_string,
        pa.types.is_timestamp,
        pa.types.is_date,
    )
    return any(test(kind) for test in tests)


def _plain(values: pa.Array) -> pa.Array:
    """Values in one of few types; a number stays a number."""
    kind = values.type
    if pa.types.is_dictionary(kind):
        return _plain(values.dictionary_decode())
    if pa.types.is_integer(kind) or pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return values
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return values.cast(pa.float64())
    # Truth values become words: "true" is no number, as little as it is in a request.
    return values.cast(pa.string())
