"""Puts answered predictions into the inference log, off the path of a request; no Ray inside."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from core.data.segments import SegmentLimits, SegmentWriter
from core.deployment.endpoint import InferenceLogConfig
from core.deployment.inference_log import row_schema, segments_folder
from core.problems.contract import Columns

logger = logging.getLogger(__name__)

#: The thread writes before its time when so much of the queue is taken.
_EARLY = 0.25
#: A replica has eight seconds to go; see ``core.deployment.endpoint.Deployment``.
CLOSE_TIMEOUT_S = 3.0

#: (problem, rows) that are lost from now on.
CountLost = Callable[[str, int], None]


class Answered(msgspec.Struct, frozen=True, gc=False):
    """One answered request. The arrays are those it was answered with; nobody changes them."""

    problem: str
    request_id: str
    #: Microseconds since 1970, UTC.
    at_us: int
    version: int
    columns: Columns
    #: Shape (rows,), of the positive class.
    probabilities: npt.NDArray[np.float64]


#: Takes an answered request; returns at once and never raises.
Record = Callable[[Answered], None]


@dataclass(frozen=True)
class RecorderState:
    """Rows since the replica started, and why the last write failed, if it did."""

    waiting_rows: int
    written_rows: int
    lost_rows: int
    failure: str


class Recorder:
    """A bounded queue and the thread that empties it into segments, one a problem.

    ``replica`` is part of the segments' names. Until ``configure`` is called nothing is kept.
    """

    def __init__(self, replica: str, count_lost: CountLost) -> None:
        self._replica = replica
        self._count_lost = count_lost
        self._changing = threading.Lock()
        self._config: InferenceLogConfig | None = None
        self._queue: list[Answered] = []
        self._waiting = self._written = self._lost = 0
        self._failure = ""
        self._wake = threading.Event()
        self._closing = False
        #: Used by the thread alone.
        self._writers: dict[str, SegmentWriter] = {}
        self._written_to: InferenceLogConfig | None = None
        self._thread = threading.Thread(target=self._run, name="inference-log", daemon=True)
        self._thread.start()

    def configure(self, config: InferenceLogConfig) -> None:
        """Says where and how to write from now on."""
        self._config = config
        self._wake.set()

    def record(self, answered: Answered) -> None:
        """Takes an answered request into the queue, or counts it as lost."""
        config = self._config
        if config is None or not config.log.enabled:
            return
        rows = answered.probabilities.size
        with self._changing:
            fits = self._waiting + rows <= config.log.queue_rows and not self._closing
            if fits:
                self._queue.append(answered)
                self._waiting += rows
        if not fits:
            self._lose(answered.problem, rows)
        elif self._waiting > config.log.queue_rows * _EARLY and not self._failure:
            self._wake.set()

    @property
    def state(self) -> RecorderState:
        """What was kept and what was lost."""
        return RecorderState(self._waiting, self._written, self._lost, self._failure)

    def close(self, timeout_s: float = CLOSE_TIMEOUT_S) -> None:
        """Writes what waits and ends the segments; what comes afterwards is lost."""
        with self._changing:
            self._closing = True
        self._wake.set()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        pending: list[Answered] = []
        while not self._closing:
            config = self._config
            self._wake.wait(None if config is None else config.log.flush_s)
            self._wake.clear()
            pending = self._flush(pending)
        self._drop(self._flush(pending))
        self._close_segments()

    def _flush(self, pending: list[Answered]) -> list[Answered]:
        """Writes what waits, oldest first; returns what could not be written."""
        config = self._config
        with self._changing:
            pending, self._queue = pending + self._queue, []
        if config is None:
            return pending
        if config != self._written_to:
            self._close_segments()
            self._written_to = config
        left: list[Answered] = []
        failure = ""
        by_problem = sorted(pending, key=lambda answered: answered.problem)
        for problem, group in groupby(by_problem, key=lambda answered: answered.problem):
            answers = list(group)
            try:
                self._writer(problem, config).append(rows_of(answers))
            except OSError as exc:
                failure = exc.strerror or type(exc).__name__
                if not self._failure:
                    logger.warning("the inference log cannot be written: %s", failure)
                left += answers
            except Exception:
                # The answers have gone out, and the thread must live for the next ones.
                logger.exception("rows of %s cannot be logged", problem)
                self._drop(answers)
            else:
                self._count_written(answers)
        for writer in self._writers.values():
            failure = _refused(writer.close_if_due) or failure
        self._failure = failure
        return left

    def _drop(self, answers: Sequence[Answered]) -> None:
        for answered in answers:
            rows = answered.probabilities.size
            with self._changing:
                self._waiting -= rows
            self._lose(answered.problem, rows)

    def _count_written(self, answers: Sequence[Answered]) -> None:
        rows = sum(answered.probabilities.size for answered in answers)
        with self._changing:
            self._waiting -= rows
            self._written += rows

    def _lose(self, problem: str, rows: int) -> None:
        with self._changing:
            self._lost += rows
        self._count_lost(problem, rows)

    def _writer(self, problem: str, config: InferenceLogConfig) -> SegmentWriter:
        if problem not in self._writers:
            limits = SegmentLimits(config.log.segment_mb << 20, config.log.segment_minutes * 60.0)
            folder = segments_folder(Path(config.folder), problem)
            self._writers[problem] = SegmentWriter(folder, self._replica, limits)
        return self._writers[problem]

    def _close_segments(self) -> None:
        for writer in self._writers.values():
            _refused(writer.close)
        self._writers.clear()


def _refused(close: Callable[[], None]) -> str:
    """Closes a segment; why the disk refuses what was written there, if it does.

    A share may say so only now. The thread must live for the next rows.
    """
    try:
        close()
    except OSError as exc:
        logger.warning("a segment of the inference log cannot be closed: %s", exc)
        return exc.strerror or type(exc).__name__
    return ""


def rows_of(answers: Sequence[Answered]) -> pa.RecordBatch:
    """Answers of one problem as rows of the inference log, in the order given."""
    sizes = np.array([answered.probabilities.size for answered in answers])
    starts = np.repeat(np.cumsum(sizes) - sizes, sizes)
    inputs = {name: _column(answers, name) for name in answers[0].columns}

    def of_request(values: Iterable[Any], kind: type) -> npt.NDArray[Any]:
        return np.repeat(np.array(list(values), dtype=kind), sizes)

    columns = [
        of_request((a.request_id for a in answers), object),
        np.arange(starts.size) - starts,
        of_request((a.at_us for a in answers), np.int64).view("datetime64[us]"),
        of_request((a.version for a in answers), np.int64),
        *inputs.values(),
        np.concatenate([a.probabilities for a in answers]),
    ]
    schema = row_schema({name: column.type for name, column in inputs.items()})
    return pa.record_batch(
        [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)],
        schema=schema,
    )


def _column(answers: Sequence[Answered], name: str) -> pa.Array:
    values = np.concatenate([answered.columns[name] for answered in answers])
    if values.dtype == object:
        return pa.array(values, pa.string())
    # NaN stands for a missing number.
    return pa.array(values, pa.float64(), mask=np.isnan(values))
