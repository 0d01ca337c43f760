"""Late labels: what turned out to be true of rows that were answered or delivered earlier.

A label belongs to a source, which is a request or a batch, and to the row's index in it. The
log takes every label as it comes; which of them count is told by ``core.data.label_join``.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import fs

from core.data.batch_files import AT, LABEL
from core.data.day_files import DayFiles, in_folder
from core.data.log_tables import AT_TYPE, Span
from core.data.segment_store import DAILY, SegmentStore
from core.data.segments import SegmentLimits, SegmentWriter
from core.data.tables import ROW_ID
from core.errors import UnavailableError

#: Id of a request or of a batch.
SOURCE = "source"
#: Who gave the label.
BY = "by"
#: Who has given a label that came by HTTP.
BY_HTTP = "http"
#: What is known of a label before it is in the log; ``label`` is 0.0 or 1.0.
GIVEN_SCHEMA = pa.schema([(SOURCE, pa.string()), (ROW_ID, pa.int64()), (LABEL, pa.float64())])
LABEL_SCHEMA = pa.schema([*GIVEN_SCHEMA, (AT, AT_TYPE), (BY, pa.string())])
_LIMITS = SegmentLimits(max_bytes=16 << 20, max_age_s=300.0)
_STEM = "labels"


def labels_folder(home: Path) -> Path:
    """The folder of the labels, one folder a problem in it."""
    return home / "labels"


def _of_batch(batch_id: str) -> pc.Expression:
    """Labels of a batch.

    By HTTP only answers are labelled: whoever may send those labels may not say what models
    learn from, and ids of batches are spelled like ids of requests.
    """
    return (pc.field(SOURCE) == batch_id) & (pc.field(BY) != BY_HTTP)


class LabelLog:
    """Labels in ``folder``; ``owner`` names this process among those that append.

    Finished days are in ``finished``, one folder a problem; without it they are in ``folder``
    too, and whoever only appends needs none. Reading raises ``UnavailableError`` where the
    files cannot be read.
    """

    def __init__(
        self, folder: Path, owner: str = "", finished: fs.FileSystem | None = None
    ) -> None:
        self._folder = folder
        self._finished = finished or in_folder(folder)
        self._owner = owner or uuid.uuid4().hex
        self._writing = threading.Lock()
        self._writers: dict[str, SegmentWriter] = {}

    def append(self, problem: str, labels: pa.Table, *, by: str) -> None:
        """Adds labels of the schema ``GIVEN_SCHEMA``; on return the disk has them.

        Raises:
            UnavailableError: they cannot be written; none of them is kept.
        """
        rows = labels.num_rows
        at = pa.scalar(datetime.now(UTC), AT_TYPE)
        told = pa.table(
            [*labels.select(GIVEN_SCHEMA.names).columns, pa.repeat(at, rows), pa.repeat(by, rows)],
            schema=LABEL_SCHEMA,
        )
        (batch,) = told.combine_chunks().to_batches() or [None]
        if batch is None:
            return
        try:
            with self._writing:
                self._writer(problem).append(batch, durable=True)
        except OSError as exc:
            raise UnavailableError(
                f"The labels cannot be written ({exc.strerror}); none was taken.",
                fix="Make room on the disk, then send them again.",
            ) from exc

    def labels_of(
        self, problem: str, source: str, row_ids: pa.ChunkedArray | None = None
    ) -> pa.Table:
        """Labels of a batch in the order they were given: ``LABEL_SCHEMA``.

        ``row_ids`` leaves out those of other rows.
        """
        where = _of_batch(source)
        if row_ids is not None:
            where &= pc.field(ROW_ID).isin(row_ids)
        found = self._store(problem).read(where=where)
        return LABEL_SCHEMA.empty_table() if found is None else found

    def row_ids_of(self, problem: str, source: str) -> Iterator[npt.NDArray[np.int64]]:
        """Yields the row id of every label of a batch, in parts."""
        found = self._store(problem).each([SOURCE, ROW_ID, BY], _of_batch(source))
        return (table.column(ROW_ID).to_numpy() for table in found)

    def labels(
        self,
        problem: str,
        *,
        since: datetime | None = None,
        sources: pa.Array | None = None,
    ) -> pa.Table:
        """All labels of a problem in the order they were given: ``LABEL_SCHEMA``.

        ``since`` leaves out those given earlier, ``sources`` those of other requests and
        batches.
        """
        where = None if sources is None else pc.field(SOURCE).isin(sources)
        found = self._store(problem).read(span=Span(since=since), where=where)
        return LABEL_SCHEMA.empty_table() if found is None else found

    def compact(self) -> int:
        """Moves closed segments into Parquet by UTC day; returns how many."""
        return sum(self._store(problem).compact() for problem in self.problems())

    def problems(self) -> tuple[str, ...]:
        """Names of the problems that labels have come for."""
        if not self._folder.is_dir():
            return ()
        return tuple(sorted(path.name for path in self._folder.iterdir() if path.is_dir()))

    def close(self) -> None:
        """Ends the segments of this process."""
        with self._writing:
            for writer in self._writers.values():
                writer.close()
            self._writers.clear()

    def _writer(self, problem: str) -> SegmentWriter:
        if problem not in self._writers:
            folder = self._store(problem).segments
            self._writers[problem] = SegmentWriter(folder, self._owner, _LIMITS)
        return self._writers[problem]

    def _store(self, problem: str) -> SegmentStore:
        daily = DayFiles(self._finished, f"{problem}/{DAILY}", "the labels")
        return SegmentStore(self._folder / problem, _STEM, daily=daily)
