"""What reading a given file yields, chunk by chunk, and the refusals all kinds share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from core.errors import InvalidInputError, Offence
from core.params_intake import IntakeParams

#: Longest first line that is taken for a header.
HEADER_BYTES = 1 << 16
SAVE_AS = "Save it as CSV in UTF-8 with a header line, or as Parquet."
_SPLIT_IT = "Split it into several files."


@dataclass(frozen=True)
class Chunk:
    """Some rows of a file.

    ``rows`` of shape (rows,) are their indices in the file, counted from 0; ``share`` is how
    much of the file has been read with this chunk, from 0 to 1.
    """

    table: pa.Table
    rows: npt.NDArray[np.int64]
    share: float


class GivenFile(Protocol):
    """A file that has been opened; its rows are still to be read."""

    name: str
    #: Columns in the order of the file.
    names: tuple[str, ...]
    #: Rows met so far that cannot be read as rows, the first ones.
    malformed: list[Offence]

    @property
    def malformed_rows(self) -> int:
        """How many rows met so far cannot be read as rows."""

    def chunks(self, columns: Sequence[str]) -> Iterator[Chunk]:
        """Yields these columns of every row.

        Raises:
            InvalidInputError: the file cannot be read to its end.
        """


def neither(name: str) -> InvalidInputError:
    """The refusal of a file that is of no known kind, or damaged."""
    return InvalidInputError(f"The file {name} is neither CSV nor Parquet.", fix=SAVE_AS)


def without_rows(name: str) -> InvalidInputError:
    """The refusal of a file that holds nothing."""
    return InvalidInputError(f"The file {name} has no rows.", fix="Give it some data.")


def require_rows(name: str, rows: int, limits: IntakeParams | None) -> None:
    """Refuses a file of more rows than are taken.

    Raises:
        InvalidInputError: ``rows`` are more.
    """
    if limits is not None and rows > limits.max_rows:
        raise InvalidInputError(
            f"The file {name} has {rows:,} rows and perhaps more; {limits.max_rows:,} is the most.",
            fix=_SPLIT_IT,
        )


def require_columns(name: str, columns: int, limits: IntakeParams | None) -> None:
    """Refuses a file of more columns than are taken.

    Raises:
        InvalidInputError: ``columns`` are more.
    """
    if limits is not None and columns > limits.max_columns:
        raise InvalidInputError(
            f"The file {name} has {columns:,} columns; {limits.max_columns:,} is the most.",
            fix="Give the columns that the contract names and no others.",
        )


def require_decoded(name: str, size: int, limits: IntakeParams | None) -> None:
    """Refuses a file that is larger than what is taken once it is decoded.

    Raises:
        InvalidInputError: ``size`` in bytes is more.
    """
    if limits is not None and size > limits.max_decoded_mb << 20:
        raise InvalidInputError(
            f"The file {name} holds more than {limits.max_decoded_mb:,} MiB once it is decoded.",
            fix=_SPLIT_IT,
        )
