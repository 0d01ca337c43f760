"""A CSV file in chunks. Values stay text, so that the contract decides their type."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pa_csv

from core.data.reading import HEADER_BYTES, Chunk, neither, require_rows, without_rows
from core.errors import InvalidInputError, Offence
from core.params_intake import IntakeParams

#: Text that is read at a time; no row may be longer.
BLOCK_BYTES = 8 << 20
#: Rows with too few or too many values after which a file is given up.
MAX_MALFORMED = 1_000
#: What stands for a missing value.
MISSING = ("", "NA", "NaN", "nan", "null")
ALL_COLUMNS = "all columns"
_UTF8 = "Save it as CSV in UTF-8."


class CsvFile:
    """A CSV file with a header line, comma between values and double quotes around them."""

    def __init__(
        self, path: Path, name: str, head: bytes, limits: IntakeParams | None = None
    ) -> None:
        self.name = name
        self._limits = limits
        self.malformed: list[Offence] = []
        #: Row of each malformed row in the file, in order.
        self._skipped: list[int] = []
        self._path = path
        self.names = _header_of(head, name)

    @property
    def malformed_rows(self) -> int:
        """Rows met so far that have another number of values than the header."""
        return len(self._skipped)

    def chunks(self, columns: Sequence[str]) -> Iterator[Chunk]:
        """Yields these columns of every row, all as text; a missing value is null."""
        read = 0
        try:
            with pa.OSFile(str(self._path)) as file:
                size = file.size()
                for block, batch in enumerate(self._open(file, columns), 1):
                    if not batch.num_rows:
                        continue
                    rows = self._rows_of(read, batch.num_rows)
                    read += batch.num_rows
                    require_rows(self.name, read, self._limits)
                    # Not the position in the file: the reader is far ahead of its blocks.
                    share = min(1.0, block * BLOCK_BYTES / size)
                    yield Chunk(pa.Table.from_batches([batch]), rows, share)
        except pa.ArrowInvalid as exc:
            raise self._refusal(str(exc)) from exc
        if not read and not self._skipped:
            raise without_rows(self.name)

    def _open(self, file: pa.NativeFile, columns: Sequence[str]) -> pa_csv.CSVStreamingReader:
        return pa_csv.open_csv(
            file,
            # Only without threads does the parser know at which row it is.
            read_options=pa_csv.ReadOptions(block_size=BLOCK_BYTES, use_threads=False),
            parse_options=pa_csv.ParseOptions(
                newlines_in_values=True, invalid_row_handler=self._note
            ),
            convert_options=pa_csv.ConvertOptions(
                column_types={name: pa.string() for name in self.names},
                include_columns=list(columns),
                strings_can_be_null=True,
                null_values=list(MISSING),
            ),
        )

    def _note(self, row: pa_csv.InvalidRow) -> str:
        # Numbers of the parser begin with the header and with 1.
        at = row.number - 2
        self._skipped.append(at)
        if len(self.malformed) < MAX_MALFORMED:
            said = f"{row.actual_columns} values where the header has {row.expected_columns}"
            self.malformed.append(Offence(ALL_COLUMNS, said, at))
        return "skip" if len(self._skipped) < MAX_MALFORMED else "error"

    def _rows_of(self, first: int, count: int) -> npt.NDArray[np.int64]:
        """Indices in the file of rows that are ``first``, ``first + 1``, … among the good."""
        good = np.arange(first, first + count, dtype=np.int64)
        # So many good rows come before each malformed one.
        before = np.array(self._skipped, dtype=np.int64) - np.arange(len(self._skipped))
        return good + np.searchsorted(before, good, side="right")

    def _refusal(self, said: str) -> InvalidInputError:
        if "straddl" in said:
            return InvalidInputError(
                f"The file {self.name} has a row of more than {BLOCK_BYTES >> 20} MiB.",
                fix="Look for a quotation mark that is not closed.",
            )
        if "Empty CSV" in said:
            return without_rows(self.name)
        if "UTF8" in said:
            return InvalidInputError(f"The file {self.name} is not in UTF-8.", fix=_UTF8)
        if len(self._skipped) >= MAX_MALFORMED:
            return InvalidInputError(
                f"The file {self.name} has another number of values than its header in "
                f"{len(self._skipped):,} rows and more.",
                fix="Put a comma between values, and quotes around values that hold one.",
                offences=self.malformed,
            )
        return neither(self.name)


def _header_of(head: bytes, name: str) -> tuple[str, ...]:
    """The columns that the first line names, read as the rows will be."""
    lines = head.removeprefix(b"\xef\xbb\xbf").lstrip(b"\r\n").splitlines()
    if not lines or (len(lines) == 1 and len(head) == HEADER_BYTES):
        raise neither(name)
    line = lines[0] + b"\n"
    try:
        names = tuple(pa_csv.open_csv(pa.BufferReader(line)).schema.names)
    except UnicodeDecodeError as exc:
        raise InvalidInputError(f"The file {name} is not in UTF-8.", fix=_UTF8) from exc
    except pa.ArrowInvalid as exc:
        raise neither(name) from exc
    if len(names) == 1:
        for sign, word in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
            if sign in names[0]:
                raise InvalidInputError(
                    f"The values in {name} seem to be separated by {word}.",
                    fix="Save it with commas between values.",
                )
    return names
