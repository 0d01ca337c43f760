"""Files that are small and would be large, deep or endless to whoever reads them naively."""

from __future__ import annotations

import io
import struct

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

MAGIC = b"PAR1"


def _varint(number: int) -> bytes:
    """A whole number in Thrift's compact protocol."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def _zigzag(number: int) -> bytes:
    return _varint(number << 1)


def promising(rows: int, depth: int = 0) -> bytes:
    """A Parquet file of a footer alone: so many rows, of a number within ``depth`` groups.

    Written by hand, after the format's ``parquet.thrift``, because no library writes it.
    """
    optional, name = b"\x35" + _zigzag(1), b"\x18" + _varint(1) + b"a"
    root = b"\x48" + _varint(1) + b"r" + b"\x15" + _zigzag(1) + b"\0"
    group = optional + name + b"\x15" + _zigzag(1) + b"\0"
    leaf = b"\x15" + _zigzag(1) + b"\x25" + _zigzag(1) + name + b"\0"
    elements = b"\x19\xfc" + _varint(depth + 2) + root + group * depth + leaf
    footer = b"\x15" + _zigzag(1) + elements + b"\x16" + _zigzag(rows) + b"\x19\x0c" + b"\0"
    return MAGIC + footer + struct.pack("<I", len(footer)) + MAGIC


def parquet_of(columns: dict[str, pa.Array], **options: object) -> bytes:
    """A Parquet file of these columns."""
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out, compression="zstd", store_schema=False, **options)
    return out.getvalue()


def repeated(text: str, rows: int) -> pa.Array:
    """A column that holds one text over and over, which a dictionary stores once."""
    return pa.DictionaryArray.from_arrays(np.zeros(rows, np.int32), [text])


def plums(rows: int, colour: str) -> dict[str, pa.Array]:
    """Columns of the tests' problem."""
    return {
        "weight": pa.array(np.full(rows, 40.0)),
        "stones": pa.array(np.full(rows, 1)),
        "colour": repeated(colour, rows),
    }
