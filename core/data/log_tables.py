"""Tables of a log: put together whatever their columns are, read and written as Parquet."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from core.data.tables import check_rows

#: Type of ``at``, which every log has: when a row came.
AT_TYPE = pa.timestamp("us", tz="UTC")


def combine(tables: Iterable[pa.Table]) -> pa.Table:
    """Puts tables one after the other, oldest first, whatever columns each has.

    A column that a table lacks is null there. Where a column has changed its type the last
    table decides; earlier values of another type are null.
    """
    tables = list(tables)
    types = {field.name: field.type for table in tables for field in table.schema}
    return pa.concat_tables(
        fit(table, pa.schema([pa.field(name, kind) for name, kind in types.items()]))
        for table in tables
    )


def fit(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Returns the columns of ``schema``, null where the table has none of that type."""
    kept = [
        table[field.name]
        if field.name in table.column_names and table.schema.field(field.name).type == field.type
        else pa.nulls(table.num_rows, field.type)
        for field in schema
    ]
    return pa.table(kept, schema=schema)


def read_parquet(path: Path, columns: set[str] | None) -> pa.Table:
    """Reads those of ``columns`` that the file has; all of them for ``None``."""
    with pq.ParquetFile(path) as file:
        return file.read(columns=chosen(file.schema_arrow.names, columns))


def chosen(names: Iterable[str], columns: set[str] | None) -> list[str]:
    """The names that are among ``columns``; all of them for ``None``."""
    return [name for name in names if columns is None or name in columns]


def write_parquet_durably(table: pa.Table, path: Path) -> None:
    """Writes a file, counts its rows, and waits until the disk has it.

    Raises:
        RowCountError: the file holds another number of rows than the table.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        pq.write_table(table.replace_schema_metadata(None), file, compression="zstd")
        file.flush()
        os.fsync(file.fileno())
    check_rows(path, table.num_rows)
