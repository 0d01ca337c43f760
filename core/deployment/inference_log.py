"""The inference log: every prediction that was answered, with what it was asked.

Replicas write segments; the worker compacts them to Parquet by UTC day and version and
prunes old days. Readers see both, each row once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import fs

from core.data.batch_files import AT
from core.data.day_files import DayFiles, folders_in, in_folder
from core.data.log_tables import AT_TYPE, Span, fit
from core.data.segment_store import DAILY, SEGMENTS, SegmentStore
from core.data.tables import ROW_ID
from core.deployment.request_ids import RESOLUTION, made_at
from core.problems.contract import Contract

REQUEST_ID, VERSION, PROBABILITY = "request_id", "version", "probability"
_WHAT = "the inference log"


def inference_folder(home: Path) -> Path:
    """The folder of the log, one folder a problem in it."""
    return home / "inference"


def segments_folder(folder: Path, problem: str) -> Path:
    """Where replicas put their segments of a problem; ``folder`` is the log's."""
    return folder / problem / SEGMENTS


def row_schema(columns: Mapping[str, pa.DataType]) -> pa.Schema:
    """Schema of a row: who asked what when (``columns`` are the inputs), and the answer."""
    return pa.schema(
        [
            (REQUEST_ID, pa.string()),
            (ROW_ID, pa.int64()),
            (AT, AT_TYPE),
            (VERSION, pa.int64()),
            *columns.items(),
            (PROBABILITY, pa.float64()),
        ]
    )


def schema_of(contract: Contract) -> pa.Schema:
    """Schema of the rows of a problem with that contract."""
    return row_schema(
        {f.name: pa.float64() if f.type.is_numeric else pa.string() for f in contract.fields}
    )


@dataclass(frozen=True, eq=False)
class LoggedRequest:
    """One answered request: its rows in the order of its records, columns as they were logged."""

    problem: str
    rows: pa.Table


class InferenceLog:
    """Reads and tends the log in ``folder``.

    ``contracts`` are those of the problems by name: a window has exactly the fields of the
    problem's contract, whatever the contract was when a row came. Of a problem that is not
    among them it has what was logged. Finished days are in ``finished``, one folder a problem;
    without it they are in ``folder`` too.

    Every method raises ``UnavailableError`` where the files cannot be read or written.
    """

    def __init__(
        self,
        folder: Path,
        contracts: Mapping[str, Contract] | None = None,
        finished: fs.FileSystem | None = None,
    ) -> None:
        self._folder = folder
        self._contracts = dict(contracts or {})
        self._finished = finished or in_folder(folder)

    def window(
        self,
        problem: str,
        *,
        since: datetime | None = None,
        last_rows: int | None = None,
        columns: Sequence[str] | None = None,
        requests: pa.Array | None = None,
    ) -> pa.Table:
        """Returns answered predictions in order of time.

        Args:
            problem: name of the problem.
            since: nothing answered before it; a time with its zone.
            last_rows: no more rows than this, the latest.
            columns: no other columns than these, to save reading.
            requests: ids; nothing but what answered these.

        Returns:
            ``request_id`` (text), ``row_id`` (index in the request), ``at`` (microseconds,
            UTC), ``version``, the inputs (float64 or text, null where missing or not logged)
            and ``probability``.
        """
        schema = self._schema(problem)
        wanted = schema.names if columns is None and problem in self._contracts else columns
        span = Span(since=since)
        where = None if requests is None else pc.field(REQUEST_ID).isin(requests)
        store = self._store(problem)
        found = store.read(span=span, last_rows=last_rows, columns=wanted, where=where)
        if problem not in self._contracts and found is not None:
            logged = {f.name: f.type for f in found.schema if f.name not in schema.names}
            schema = row_schema(logged)
        if columns is not None:
            schema = pa.schema([field for field in schema if field.name in columns])
        return schema.empty_table() if found is None else fit(found, schema)

    def find(self, request_id: str) -> LoggedRequest | None:
        """The rows of a request, whichever problem it was for; ``None`` where there are none.

        All rows of a request have one time, and an id tells it. Of an id that does not, the
        ids of the whole log are read first: 0.4 s for 3.6 million rows of 90 days, where the
        other way takes 0.01 s.
        """
        its_rows = pc.field(REQUEST_ID) == request_id
        made = made_at(request_id)
        for problem in self._kept():
            store = self._store(problem)
            since = made or _time_of(store.read(columns=(REQUEST_ID,), where=its_rows))
            if since is None:
                continue
            rows = store.read(span=Span(since, since + RESOLUTION), where=its_rows)
            if rows is not None:
                return LoggedRequest(problem, rows.sort_by(ROW_ID))
        return None

    def compact(self) -> int:
        """Moves what replicas have finished into Parquet; returns how many segments."""
        return sum(self._store(name).compact() for name in self._logged())

    def prune(self, now: datetime, keep_days: int) -> int:
        """Removes days that ended more than ``keep_days`` ago; returns how many."""
        before = (now.astimezone(UTC) - timedelta(days=keep_days)).date()
        return sum(self._store(name).prune(before) for name in self._kept())

    def _schema(self, problem: str) -> pa.Schema:
        contract = self._contracts.get(problem)
        return schema_of(contract) if contract else row_schema({})

    def _store(self, problem: str) -> SegmentStore:
        daily = DayFiles(self._finished, f"{problem}/{DAILY}", _WHAT)
        return SegmentStore(self._folder / problem, "v", VERSION, daily)

    def _logged(self) -> Iterator[str]:
        """Names of the problems that have a log in the home, served or not."""
        if self._folder.is_dir():
            yield from sorted(path.name for path in self._folder.iterdir() if path.is_dir())

    def _kept(self) -> list[str]:
        """Names of all that have a log; of some a store may know that a new home does not."""
        return sorted({*self._logged(), *folders_in(self._finished, _WHAT)})


def _time_of(rows: pa.Table | None) -> datetime | None:
    """When the first of the rows was answered."""
    found: datetime | None = None if rows is None else rows[AT][0].as_py()
    return found
