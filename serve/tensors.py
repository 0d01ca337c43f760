"""Data of one tensor of the Open Inference Protocol, in JSON and in its binary extension.

The binary form is that of Triton's "binary tensor data extension": numbers in row-major order
and little-endian; of ``BYTES`` each element as its length in 4 bytes and then itself.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from core.problems.contract import Field, FieldType, Label

#: A number or a text; ``None`` for a missing value.
Element = float | int | str | None

BYTES = "BYTES"
_INTEGERS = {
    f"{sign}INT{bits}": f"<{kind}{bits // 8}"
    for sign, kind in (("", "i"), ("U", "u"))
    for bits in (8, 16, 32, 64)
}
_FLOATS = {f"FP{bits}": f"<f{bits // 8}" for bits in (16, 32, 64)}
#: Datatype of numbers -> what numpy calls it.
NUMBERS = _INTEGERS | _FLOATS
_LENGTH = struct.Struct("<I")


class TensorError(ValueError):
    """Data of a tensor are not what its datatype says; the message says how."""


def datatype_of(field: Field) -> str:
    """The datatype that a field is announced with; any number's may be sent for a number."""
    if field.type is FieldType.CATEGORY:
        return BYTES
    # Missing whole numbers have to be written somehow.
    return "INT64" if field.type is FieldType.INTEGER and not field.nullable else "FP64"


def datatype_of_label(label: Label) -> str:
    """The datatype that labels are answered in."""
    numbers = isinstance(label.positive, int) and isinstance(label.negative, int)
    return "INT64" if numbers else BYTES


def require_datatype(datatype: str, *, numeric: bool) -> None:
    """Refuses a datatype that does not fit a field.

    Raises:
        TensorError: it does not.
    """
    fits = datatype in NUMBERS if numeric else datatype == BYTES
    if not fits:
        due = "FP64, FP32 or INT64" if numeric else BYTES
        raise TensorError(f"must have the datatype {due}")


def read_json_data(datatype: str, data: Sequence[Any]) -> list[Element]:
    """Elements of a tensor of one column that is given in JSON, flat or in rows of one.

    Raises:
        TensorError: an element is not of the datatype.
    """
    flat = [row[0] for row in data] if _in_rows_of_one(data) else data
    try:
        if datatype == BYTES:
            return list(msgspec.convert(flat, list[str | None]))
        if datatype in _FLOATS:
            return _narrowed(datatype, msgspec.convert(flat, list[float | None]))
        return _whole(datatype, msgspec.convert(flat, list[int | float | None]))
    except msgspec.ValidationError as exc:
        raise TensorError(f"has data that are not {datatype}: {exc}") from exc


def read_binary_data(datatype: str, data: bytes) -> list[Element]:
    """Elements of a tensor that is given in the binary form; NaN is a missing value.

    Raises:
        TensorError: the bytes do not come to whole elements.
    """
    if datatype == BYTES:
        return list(_texts(data))
    kind = np.dtype(NUMBERS[datatype])
    if len(data) % kind.itemsize:
        raise TensorError(f"has {len(data):,} bytes, which are no whole number of {datatype}")
    return _without_nan(np.frombuffer(data, kind))


def write_binary_data(datatype: str, values: Sequence[Any]) -> bytes:
    """Elements in the binary form."""
    if datatype != BYTES:
        return np.array(values, NUMBERS[datatype]).tobytes()
    texts = [str(value).encode() for value in values]
    return b"".join(_LENGTH.pack(len(text)) + text for text in texts)


def _in_rows_of_one(data: Sequence[Any]) -> bool:
    return bool(data) and all(isinstance(row, list) and len(row) == 1 for row in data)


def _narrowed(datatype: str, values: list[float | None]) -> list[Element]:
    """As the datatype holds them, so that JSON and binary data are the same numbers."""
    if datatype == "FP64":
        return list(values)
    with np.errstate(over="ignore"):
        return _without_nan(np.array(values, np.float64).astype(_FLOATS[datatype]))


def _without_nan(numbers: np.ndarray[Any, Any]) -> list[Element]:
    values: list[Element] = numbers.tolist()
    if numbers.dtype.kind == "f" and np.isnan(numbers).any():
        return [None if value != value else value for value in values]
    return values


def _whole(datatype: str, values: list[int | float | None]) -> list[Element]:
    """As whole numbers, which clients with one type for all numbers write as ``3.0``."""
    range_ = np.iinfo(_INTEGERS[datatype])
    for value in values:
        if value is not None and value != value // 1:
            raise TensorError(f"has data that are not {datatype}: {value:g} is no whole number")
        if value is not None and not range_.min <= value <= range_.max:
            raise TensorError(f"has numbers that do not fit {datatype}")
    return [None if value is None else int(value) for value in values]


def _texts(data: bytes) -> list[str]:
    texts: list[str] = []
    at = 0
    while at < len(data):
        start = at + _LENGTH.size
        if start > len(data):
            raise TensorError("has bytes that end within a length")
        at = start + _LENGTH.unpack_from(data, at)[0]
        if at > len(data):
            raise TensorError("has bytes that end within a text")
        try:
            texts.append(data[start:at].decode())
        except UnicodeDecodeError as exc:
            raise TensorError("has a text that is not UTF-8") from exc
    return texts
