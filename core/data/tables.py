"""Reading and writing tables so that the same rows give the same bytes."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from core.errors import InvalidInputError, NotFoundError, Offence, RowCountError
from core.problems.contract import Columns, Contract

ROW_ID = "row_id"
PARQUET_MAGIC = b"PAR1"
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
    try:
        with path.open("rb") as file:
            magic = file.read(4)
        table = pq.read_table(path) if magic == PARQUET_MAGIC else _read_csv(path)
    except FileNotFoundError as exc:
        raise NotFoundError(f"There is no file {path.name}.", fix="Check the path.") from exc
    except (pa.ArrowException, OSError, UnicodeDecodeError) as exc:
        raise InvalidInputError(
            f"The file {path.name} is neither CSV nor Parquet.",
            fix="Save it as CSV in UTF-8 with a header line, or as Parquet.",
        ) from exc
    if table.num_rows == 0:
        raise InvalidInputError(f"The file {path.name} has no rows.", fix="Give it some data.")
    names = table.column_names
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise InvalidInputError(
            f"The file {path.name} has more than one column {', '.join(repeated)}.",
            fix="Give every column a name of its own.",
            offences=[Offence(name, "column is repeated") for name in repeated],
        )
    return table


def _read_csv(path: Path) -> pa.Table:
    with path.open("rb") as file:
        header = file.readline(1 << 16)
    if b"\0" in header or not header.strip():
        raise pa.ArrowInvalid("binary or empty")
    names = pa_csv.open_csv(path).schema.names
    return pa_csv.read_csv(
        path,
        convert_options=pa_csv.ConvertOptions(
            column_types={name: pa.string() for name in names},
            strings_can_be_null=True,
            null_values=["", "NA", "NaN", "nan", "null"],
        ),
    )


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
