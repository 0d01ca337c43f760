"""Reading and writing tables so that the same rows give the same bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from core.data.given_file import open_given
from core.data.reading import GivenFile
from core.errors import InvalidInputError, RowCountError
from core.problems.contract import Columns, Contract
from core.wording import count

ROW_ID = "row_id"
_HASH_CHUNK = 1 << 20


def read_table(path: Path) -> pa.Table:
    """Reads a CSV or Parquet file.

    A CSV's values stay text, so that the contract and not a guess decides their type;
    an empty cell is a missing value.

    Raises:
        NotFoundError: there is no such file.
        InvalidInputError: the file is neither CSV nor Parquet, is empty, or names a
            column twice.
    """
    given = open_given(path, path.name)
    return whole_table(given, given.names)


def whole_table(given: GivenFile, columns: Sequence[str]) -> pa.Table:
    """These columns of every row of a file that has been opened, in memory.

    Raises:
        InvalidInputError: the file cannot be read to its end, or not all of it as rows.
    """
    chunks = [chunk.table for chunk in given.chunks(columns)]
    if given.malformed:
        raise InvalidInputError(
            f"The file {given.name} has another number of values than its header in "
            f"{count(given.malformed_rows, 'row')}.",
            fix="Put a comma between values, and quotes around values that hold one.",
            offences=given.malformed,
        )
    return pa.concat_tables(chunks)


def write_table(table: pa.Table, path: Path) -> None:
    """Writes one Parquet file and counts its rows; equal tables give equal bytes.

    Raises:
        RowCountError: the file holds another number of rows than the table.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # The schema's metadata would carry pandas' versions into the bytes.
    pq.write_table(table.replace_schema_metadata(None), path, compression="snappy")
    check_rows(path, table.num_rows)


def check_rows(path: Path, expected: int) -> None:
    """Compares the rows of a Parquet file or folder with what was written.

    Raises:
        RowCountError: the numbers differ.
    """
    files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    found = sum(pq.read_metadata(file).num_rows for file in files)
    if found != expected:
        raise RowCountError(
            f"{path.name} holds {found} rows, but {expected} were written.",
            fix="Every node must see the same folder; check PILOTHOUSE_HOME.",
        )


def file_md5(path: Path) -> str:
    """MD5 of a file's bytes, hexadecimal: the identity DVC gives the same file."""
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(_HASH_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def contract_columns(table: pa.Table, contract: Contract) -> Columns:
    """Returns a validated table's inputs as arrays of shape (rows,)."""
    out: dict[str, npt.NDArray[np.generic]] = {}
    for field in contract.fields:
        column = table.column(field.name)
        if field.type.is_numeric:
            out[field.name] = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
        else:
            out[field.name] = np.array(column.to_pylist(), dtype=object)
    return out
