"""What reading a given file yields, chunk by chunk, and the refusals all kinds share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from core.errors import InvalidInputError, Offence

#: Longest first line that is taken for a header.
HEADER_BYTES = 1 << 16
SAVE_AS = "Save it as CSV in UTF-8 with a header line, or as Parquet."


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
