"""Brings a given file through the contract into the rows of a batch, chunk by chunk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from core.data.batch_files import AT, LABEL
from core.data.ingest import reduce_texts
from core.data.names import shown_name
from core.data.reading import Chunk, GivenFile, without_rows
from core.data.tables import ROW_ID, check_rows
from core.data.validation import MAX_OFFENCES, Checked, check, first_of, refusal
from core.domain import SoftFinding
from core.errors import DataContractError, Offence
from core.problems.contract import Contract

#: Longest name of an unknown column in a message, and how many of them are named there.
_COLUMN_NAME = 80
_MOST_NAMED = 10


@dataclass(frozen=True)
class Intake:
    """What was taken in of a file: the facts of a batch that its rows tell."""

    rows: int
    given_labels: int
    first_at: datetime | None
    last_at: datetime | None
    dropped: tuple[str, ...]
    findings: tuple[SoftFinding, ...]


def take_in(
    given: GivenFile, contract: Contract, target: Path, on_share: Callable[[float], None]
) -> Intake:
    """Writes the rows of a file that keeps the contract to the Parquet file ``target``.

    Labels may be missing, wholly or in places. ``on_share`` hears how much has been read,
    from 0 to 1. What ``target`` holds after a refusal means nothing.

    Raises:
        DataContractError: columns are missing or unknown, or a hard rule is broken; carries
            the first offences and says how many there are in the whole file.
        InvalidInputError: the file has no rows or cannot be read to its end.
    """
    columns = _columns_to_read(given, contract)
    tally = _Tally()
    with pq.ParquetWriter(target, _layout(contract), compression="snappy") as writer:
        for chunk in given.chunks(columns):
            checked = check(_rows_of(chunk, contract), contract, needs_label=False)
            tally.add(checked)
            if not tally.broken:
                writer.write_table(checked.validated.table)
            on_share(chunk.share)
    broken = tally.broken + given.malformed_rows
    if broken:
        raise refusal(first_of([*tally.offences, *given.malformed]), broken)
    if not tally.rows:
        raise without_rows(given.name)
    check_rows(target, tally.rows)
    return tally.intake(_dropped(given, contract))


def _columns_to_read(given: GivenFile, contract: Contract) -> list[str]:
    """The columns that are kept or reduced, in the order of the file."""
    texts = {source.name for source in contract.reduced}
    reducible = {source.into for source in contract.reduced}
    times = {contract.timestamp} if contract.timestamp else set()
    kept = {*contract.names, *texts, *times, contract.label.name}
    required = [*contract.names, *times]
    missing = [name for name in required if name not in given.names and name not in reducible]
    unknown = [name for name in given.names if name not in kept | {*contract.ignored}]
    if missing or unknown:
        raise _wrong_columns(given.name, missing, unknown)
    return [name for name in given.names if name in kept]


def _wrong_columns(name: str, missing: list[str], unknown: list[str]) -> DataContractError:
    strange = [shown_name(one, _COLUMN_NAME) if one else "" for one in unknown]
    said = [f"{', '.join(missing)} missing"] if missing else []
    if strange:
        more = f" and {len(strange) - _MOST_NAMED} more" if len(strange) > _MOST_NAMED else ""
        named = ", ".join(repr(one) for one in strange[:_MOST_NAMED])
        said += [f"{named}{more} unknown"]
    return DataContractError(
        f"The columns of {name} are not those of the contract: {'; '.join(said)}.",
        fix="Give the columns that the contract names and no others; nothing was stored.",
        offences=[
            *(Offence(one, "column is missing") for one in missing),
            *(Offence(one or "(no name)", "column is unknown") for one in strange[:MAX_OFFENCES]),
        ],
    )


def _dropped(given: GivenFile, contract: Contract) -> tuple[str, ...]:
    gone = {*contract.identifiers, *contract.leaky, *(one.name for one in contract.reduced)}
    return tuple(name for name in given.names if name in gone)


def _rows_of(chunk: Chunk, contract: Contract) -> pa.Table:
    table = reduce_texts(chunk.table, contract)
    return table.add_column(0, ROW_ID, pa.array(chunk.rows, pa.int64()))


def _layout(contract: Contract) -> pa.Schema:
    """The columns of a stored batch; see ``batch_files``."""
    fields = [
        (one.name, pa.float64() if one.type.is_numeric else pa.string()) for one in contract.fields
    ]
    times = [(AT, pa.timestamp("us", tz="UTC"))] if contract.timestamp else []
    return pa.schema([(ROW_ID, pa.int64()), *fields, (LABEL, pa.float64()), *times])


class _Tally:
    """Adds up what the chunks of one file come to."""

    def __init__(self) -> None:
        self.rows = 0
        self.broken = 0
        self.offences: list[Offence] = []
        self._labels = 0
        self._times: list[datetime] = []
        self._findings: Counter[tuple[str, str]] = Counter()

    def add(self, checked: Checked) -> None:
        """Adds one chunk."""
        table = checked.validated.table
        self.rows += table.num_rows
        self.broken += checked.broken
        self.offences = list(first_of([*self.offences, *checked.offences]))
        self._labels += table.num_rows - table.column(LABEL).null_count
        if AT in table.column_names and not checked.broken:
            ends = pc.min_max(table.column(AT)).as_py()
            times = [*self._times, ends["min"], ends["max"]]
            self._times = [min(times), max(times)]
        for one in checked.validated.findings:
            self._findings[one.column, one.rule] += one.rows

    def intake(self, dropped: tuple[str, ...]) -> Intake:
        """The facts of the whole file."""
        first, last = self._times or (None, None)
        findings = (SoftFinding(*key, rows) for key, rows in self._findings.items())
        return Intake(self.rows, self._labels, first, last, dropped, tuple(findings))
