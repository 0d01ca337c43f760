"""Append-only segments: Arrow IPC streams that may end in the middle of a batch.

A segment is written by one process and never opened for writing again. While it is being
written it is locked (``flock``), and the kernel lets go of the lock when its writer dies, so
that nobody has to guess from a file's age whether more will come. Why this format: ADR 17.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

SUFFIX = ".arrow"
#: Not yet a segment: its writer has not locked it, or died before it could.
_UNBORN = ".new-"
_OPTIONS = pa.ipc.IpcWriteOptions(compression="lz4")
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC


@dataclass(frozen=True)
class SegmentLimits:
    """When a segment is closed and the next one begun."""

    max_bytes: int
    max_age_s: float


@dataclass(frozen=True)
class SegmentRows:
    """What a segment holds. ``torn_bytes`` at its end belong to a batch that is not whole."""

    table: pa.Table | None
    torn_bytes: int


@dataclass(frozen=True)
class _Open:
    path: Path
    file: int
    schema: pa.Schema
    opened_s: float
    header_bytes: int


class SegmentWriter:
    """Writes one segment at a time into ``folder``; one thread at a time may use it.

    ``owner`` is part of each file's name and has to be unique among the folder's writers.
    """

    def __init__(
        self,
        folder: Path,
        owner: str,
        limits: SegmentLimits,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder = folder
        self._owner = owner
        self._limits = limits
        self._clock = clock
        self._sequence = 0
        self._size = 0
        self._open: _Open | None = None

    def append(self, batch: pa.RecordBatch, *, durable: bool = False) -> None:
        """Writes a batch as a whole; ``durable`` waits until the disk has it.

        Without ``durable`` the batch survives the death of this process, not that of the
        machine.

        Raises:
            OSError: nothing of the batch is kept.
        """
        message = _message(batch)
        self.close_if_due()
        if self._open is not None and not self._fits(self._open, batch.schema, len(message)):
            self.close()
        found = self._open or self._begin(batch.schema)
        try:
            _write_all(found.file, message)
            if durable:
                os.fsync(found.file)
        except OSError:
            self._give_up(found)
            raise
        self._size += len(message)

    def close_if_due(self) -> None:
        """Closes a segment that is old, so that what is in it can be compacted."""
        if self._open and self._clock() - self._open.opened_s >= self._limits.max_age_s:
            self.close()

    def close(self) -> None:
        """Ends the segment; the next batch begins another."""
        if self._open is not None:
            # Given back also where the disk refuses what was written: another file may have the
            # number by the next call.
            found, self._open = self._open, None
            # Unlocks it as well.
            os.close(found.file)

    def _fits(self, found: _Open, schema: pa.Schema, more: int) -> bool:
        # A folder that somebody has removed takes rows and keeps none.
        is_there = os.fstat(found.file).st_nlink > 0
        is_small = self._size + more <= self._limits.max_bytes or self._size == found.header_bytes
        return is_there and is_small and bool(schema.equals(found.schema))

    def _begin(self, schema: pa.Schema) -> _Open:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._sequence += 1
        started = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
        name = f"{started}-{self._owner}-{self._sequence:06d}{SUFFIX}"
        unborn, path = self._folder / f"{_UNBORN}{name}", self._folder / name
        header = memoryview(schema.serialize())
        file = os.open(unborn, _NEW_FILE, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _write_all(file, header)
            unborn.rename(path)
            _sync_folder(self._folder)
        except OSError:
            os.close(file)
            unborn.unlink(missing_ok=True)
            raise
        self._size = len(header)
        self._open = _Open(path, file, schema, self._clock(), len(header))
        return self._open

    def _give_up(self, found: _Open) -> None:
        """Leaves the whole batches. What cannot be cut off is a torn end, which readers skip."""
        with contextlib.suppress(OSError):
            os.ftruncate(found.file, self._size)
        if self._size == found.header_bytes:
            with contextlib.suppress(OSError):
                found.path.unlink()
        self.close()


def segments_in(folder: Path) -> tuple[Path, ...]:
    """Segments of a folder by the time they were begun, also those that are being written."""
    return tuple(sorted(path for path in folder.glob(f"*{SUFFIX}") if path.name[0] != "."))


def is_live(segment: Path) -> bool:
    """Whether a writer holds the segment; a file that is gone is not live."""
    try:
        file = os.open(segment, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False


def read_segment(segment: Path) -> SegmentRows:
    """Reads every whole batch of a segment, live or not.

    Raises:
        FileNotFoundError: it is gone.
    """
    content = pa.py_buffer(segment.read_bytes())
    source = pa.BufferReader(content)
    batches: list[pa.RecordBatch] = []
    whole = 0
    try:
        stream = pa.ipc.open_stream(source)
        whole = source.tell()
        while True:
            batches.append(stream.read_next_batch())
            whole = source.tell()
    except StopIteration:
        pass
    except (pa.ArrowException, OSError):
        return SegmentRows(_table(batches), content.size - whole)
    return SegmentRows(_table(batches), 0)


def remove_unborn(folder: Path) -> None:
    """Removes what writers left that died while they began a segment."""
    for path in folder.glob(f"{_UNBORN}*"):
        if not is_live(path):
            path.unlink(missing_ok=True)


def _table(batches: list[pa.RecordBatch]) -> pa.Table | None:
    return pa.Table.from_batches(batches) if batches else None


def _message(batch: pa.RecordBatch) -> memoryview:
    """A batch as it stands in a stream, without the schema before it."""
    sink = pa.BufferOutputStream()
    # Not closed: that would end the stream.
    pa.ipc.new_stream(sink, batch.schema, options=_OPTIONS).write_batch(batch)
    return memoryview(sink.getvalue())[len(batch.schema.serialize()) :]


def _write_all(file: int, message: memoryview) -> None:
    while message:
        message = message[os.write(file, message) :]


def _sync_folder(folder: Path) -> None:
    """Makes a new name in the folder survive the machine."""
    file = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)
