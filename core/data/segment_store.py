"""A log of one problem: live segments beside Parquet files by day, each row in one of them.

Compaction writes Parquet files under hidden names, then a manifest that says which of them
are to appear and which files they replace. The manifest is the moment at which it happens:
without it nothing has changed, with it the rest can be done by whoever comes next, and
readers take it as done.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from core.data.batch_files import AT
from core.data.log_tables import ALWAYS, Span, chosen, combine, read_parquet, write_parquet_durably
from core.data.segments import is_live, read_segment, remove_unborn, segments_in

LOG = logging.getLogger(__name__)
SEGMENTS, DAILY = "segments", "daily"
_MANIFEST, _LOCK = "compaction.json", "lock"
#: Segments of one round of compaction, in bytes: what is held in memory.
ROUND_BYTES = 64 << 20
#: A Parquet file below this takes in what comes later for the same day.
FULL_BYTES = 32 << 20


@dataclass(frozen=True)
class _Manifest:
    """Names relative to the log's folder."""

    publish: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()


class SegmentStore:
    """The files of one log. ``split_by`` names an integer column that splits a day's rows.

    The files of a day are ``daily/<day>/<stem>-<number>.parquet``; the stem is ``stem``, with
    the value of ``split_by`` after it where there is one.
    """

    def __init__(self, folder: Path, stem: str, split_by: str | None = None) -> None:
        self._folder = folder
        self._stem = stem
        self._split_by = split_by

    @property
    def segments(self) -> Path:
        """Folder into which writers put their segments."""
        return self._folder / SEGMENTS

    def read(
        self,
        *,
        span: Span = ALWAYS,
        last_rows: int | None = None,
        columns: Sequence[str] | None = None,
        where: pc.Expression | None = None,
    ) -> pa.Table | None:
        """Returns the rows in order of time; ``None`` where there is none.

        Args:
            span: no row outside it; days and groups of rows outside it are not read.
            last_rows: no more than so many, the latest.
            columns: only these, where the rows have them, and ``at``.
            where: only rows of which it is true.
        """
        conditions = [*span.conditions, *(() if where is None else (where,))]
        wanted = None if columns is None else {*columns, AT}
        with self._locked(exclusive=False):
            manifest = self._manifest()
            tables = [_kept(table, conditions) for table in self._segment_tables(manifest, wanted)]
            for day, files in self._days(manifest):
                if last_rows is not None and _rows_after(day, tables) >= last_rows:
                    break
                if not span.meets(*_ends_of(day)):
                    continue
                tables = [
                    *(_kept(read_parquet(file, wanted, span), conditions) for file in files),
                    *tables,
                ]
        if not any(table.num_rows for table in tables):
            return None
        merged = combine(tables).sort_by(AT)
        return merged if last_rows is None else merged.slice(max(0, merged.num_rows - last_rows))

    def each(self, columns: Sequence[str], where: pc.Expression) -> Iterator[pa.Table]:
        """Yields rows of one file after another, in no order, so that one is in memory.

        Args:
            columns: these and ``at``; ``where`` looks at no others.
            where: only rows of which it is true.
        """
        wanted = {*columns, AT}
        with self._locked(exclusive=False):
            manifest = self._manifest()
            for table in self._segment_tables(manifest, wanted):
                yield table.filter(where)
            for _, files in self._days(manifest):
                for file in files:
                    yield read_parquet(file, wanted).filter(where)

    def compact(self) -> int:
        """Moves closed segments into Parquet files; returns how many it moved.

        Does nothing while somebody reads, and completes what an earlier one has left.
        """
        moved = 0
        self._folder.mkdir(parents=True, exist_ok=True)
        while True:
            with self._locked(exclusive=True, wait=False) as held:
                if not held:
                    return moved
                self._finish(self._manifest())
                closed = self._closed_segments()
                if not closed:
                    return moved
                self._commit(self._write_days(closed))
                moved += len(closed)

    def prune(self, before: date) -> int:
        """Removes the files of the days before a day; returns how many days it removed."""
        with self._locked(exclusive=True, wait=False) as held:
            if not held:
                return 0
            self._finish(self._manifest())
            old = [(day, files) for day, files in self._days(_Manifest()) if day < before]
            for _, files in old:
                for file in files:
                    file.unlink()
                files[0].parent.rmdir()
            return len(old)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keeps compaction and pruning away until the block ends, so that no file goes."""
        with self._locked(exclusive=False):
            yield

    def _closed_segments(self) -> list[Path]:
        remove_unborn(self.segments)
        chosen: list[Path] = []
        size = 0
        for segment in segments_in(self.segments):
            if is_live(segment):
                continue
            size += segment.stat().st_size
            if chosen and size > ROUND_BYTES:
                break
            chosen.append(segment)
        return chosen

    def _write_days(self, closed: Sequence[Path]) -> _Manifest:
        tables = [table for segment in closed if (table := _whole_rows(segment)) is not None]
        publish: list[str] = []
        remove = [self._relative(segment) for segment in closed]
        for day, stem, rows in self._parts(combine(tables)) if tables else ():
            folder = self._folder / DAILY / day
            files = sorted(folder.glob(f"{stem}-*.parquet"), key=_number_of)
            small = [file for file in files if file.stat().st_size < FULL_BYTES]
            merged = combine([*(read_parquet(file, None) for file in small), rows]).sort_by(AT)
            number = 1 + max((_number_of(file) for file in files), default=0)
            file = folder / f"{stem}-{number}.parquet"
            write_parquet_durably(merged, _hidden(file))
            publish.append(self._relative(file))
            remove += [self._relative(old) for old in small]
        return _Manifest(tuple(publish), tuple(remove))

    def _parts(self, rows: pa.Table) -> Iterator[tuple[str, str, pa.Table]]:
        days = pc.strftime(rows[AT], format="%Y-%m-%d")
        for day in sorted(pc.unique(days).to_pylist()):
            of_day = rows.filter(pc.equal(days, day))
            if self._split_by is None:
                yield day, self._stem, of_day
                continue
            for value in sorted(pc.unique(of_day[self._split_by]).to_pylist()):
                part = of_day.filter(pc.equal(of_day[self._split_by], value))
                yield day, f"{self._stem}{value}", part

    def _commit(self, manifest: _Manifest) -> None:
        path = self._folder / _MANIFEST
        unborn = _hidden(path)
        text = json.dumps({"publish": manifest.publish, "remove": manifest.remove})
        with unborn.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        unborn.rename(path)
        self._finish(manifest)

    def _finish(self, manifest: _Manifest) -> None:
        """Does what a manifest says; each step may be repeated."""
        for name in manifest.publish:
            file = self._folder / name
            if _hidden(file).exists():
                _hidden(file).rename(file)
        for name in manifest.remove:
            (self._folder / name).unlink(missing_ok=True)
        (self._folder / _MANIFEST).unlink(missing_ok=True)
        for stray in (self._folder / DAILY).glob("*/.*"):
            stray.unlink()

    def _manifest(self) -> _Manifest:
        try:
            text = (self._folder / _MANIFEST).read_text(encoding="utf-8")
        except FileNotFoundError:
            return _Manifest()
        read = json.loads(text)
        return _Manifest(tuple(read["publish"]), tuple(read["remove"]))

    def _segment_tables(self, manifest: _Manifest, wanted: set[str] | None) -> Iterator[pa.Table]:
        for segment in segments_in(self.segments):
            if self._relative(segment) in manifest.remove:
                continue
            table = read_segment(segment).table
            if table is not None:
                yield table.select(chosen(table.column_names, wanted))

    def _days(self, manifest: _Manifest) -> list[tuple[date, list[Path]]]:
        """Days with their files, the latest day first."""
        files = {
            path
            for path in (self._folder / DAILY).glob("*/*.parquet")
            if path.name[0] != "." and self._relative(path) not in manifest.remove
        }
        for name in manifest.publish:
            path = self._folder / name
            files.discard(path)
            files.add(_hidden(path) if _hidden(path).exists() else path)
        days: dict[date, list[Path]] = {}
        for path in sorted(files, key=_number_of):
            days.setdefault(date.fromisoformat(path.parent.name), []).append(path)
        return sorted(days.items(), reverse=True)

    def _relative(self, path: Path) -> str:
        return path.relative_to(self._folder).as_posix()

    @contextmanager
    def _locked(self, *, exclusive: bool, wait: bool = True) -> Iterator[bool]:
        """Keeps readers and compaction apart; writers of segments need no lock."""
        if not self._folder.is_dir():
            yield True
            return
        file = os.open(self._folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            yield _lock(file, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH, wait=wait)
        finally:
            os.close(file)


def _lock(file: int, how: int, *, wait: bool) -> bool:
    try:
        fcntl.flock(file, how if wait else how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _kept(table: pa.Table, conditions: Sequence[pc.Expression]) -> pa.Table:
    for condition in conditions:
        table = table.filter(condition)
    return table


def _rows_after(day: date, tables: Sequence[pa.Table]) -> int:
    """Rows later than any of that day; a segment may hold older ones as well."""
    _, end = _ends_of(day)
    return sum(int(pc.sum(pc.greater(table[AT], end)).as_py() or 0) for table in tables)


def _ends_of(day: date) -> tuple[datetime, datetime]:
    """First and last microsecond of a day."""
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return start, start + timedelta(days=1, microseconds=-1)


def _whole_rows(segment: Path) -> pa.Table | None:
    read = read_segment(segment)
    if read.torn_bytes:
        # What was being written when the writer died, or when its disk was full.
        LOG.warning("%s ends in %d bytes that are no rows", segment.name, read.torn_bytes)
    return read.table


def _hidden(path: Path) -> Path:
    return path.with_name(f".{path.name}")


def _number_of(path: Path) -> int:
    return int(path.stem.rpartition("-")[2])
