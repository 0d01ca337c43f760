"""A log of one problem: live segments beside Parquet files by day, each row in one of them.

Compaction writes Parquet files under hidden names, then a manifest that says which of them
are to appear and which files they replace. The manifest is the moment at which it happens:
without it nothing has changed, with it the rest can be done by whoever comes next, and
readers take it as done.

Segments, lock and manifest are in the home; Parquet files there or in an S3 store (ADR 40).
"""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from core.data.batch_files import AT
from core.data.compaction_manifest import (
    Manifest,
    has_manifest,
    read_manifest,
    remove_manifest,
    write_manifest,
)
from core.data.day_files import (
    DayFiles,
    hidden,
    in_folder,
    is_hidden,
    is_of,
    number_of,
    require_written,
)
from core.data.log_tables import ALWAYS, Span, chosen, combine, ends_of, kept, rows_after
from core.data.segments import is_live, read_segment, remove_unborn, segments_in

LOG = logging.getLogger(__name__)
SEGMENTS, DAILY = "segments", "daily"
_LOCK = "lock"
#: Segments of one round of compaction, in bytes: what is held in memory.
ROUND_BYTES = 64 << 20
#: A Parquet file below this takes in what comes later for the same day.
FULL_BYTES = 32 << 20


class SegmentStore:
    """The files of one log. ``split_by`` names an integer column that splits a day's rows.

    The files of a day are ``daily/<day>/<stem>-<number>.parquet``; the stem is ``stem``, with
    the value of ``split_by`` after it where there is one. ``daily`` holds them; without it
    they are in ``folder`` too.
    """

    def __init__(
        self, folder: Path, stem: str, split_by: str | None = None, daily: DayFiles | None = None
    ) -> None:
        self._folder = folder
        self._stem = stem
        self._split_by = split_by
        self._daily = daily or DayFiles(in_folder(folder), DAILY)

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

        def rows_of(name: str) -> pa.Table:
            return kept(self._daily.read(name, wanted, span), conditions)

        with self._locked(exclusive=False):
            manifest = read_manifest(self._folder)
            tables = [kept(table, conditions) for table in self._segment_tables(manifest, wanted)]
            days = [day for day in self._days(manifest) if span.meets(*ends_of(day[0]))]
            if last_rows is None:
                names = [name for _, files in reversed(days) for name in files]
                tables = [*self._daily.each(names, rows_of), *tables]
            else:
                for day, files in days:
                    if rows_after(day, tables) >= last_rows:
                        break
                    tables = [*self._daily.each(files, rows_of), *tables]
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
            manifest = read_manifest(self._folder)
            yield from (t.filter(where) for t in self._segment_tables(manifest, wanted))
            for _, files in self._days(manifest):
                for name in files:
                    yield self._daily.read(name, wanted).filter(where)

    def compact(self) -> int:
        """Moves closed segments into Parquet files; returns how many it moved.

        Does nothing while somebody reads, and completes what an earlier one has left.

        Raises:
            UnavailableError: disk or store have failed; every row is still in the log once.
        """
        moved = 0
        self._folder.mkdir(parents=True, exist_ok=True)
        while True:
            with self._locked(exclusive=True, wait=False) as held:
                if not held:
                    return moved
                self._complete()
                closed = self._closed_segments()
                if not closed:
                    return moved
                self._commit(self._write_days(closed))
                moved += len(closed)

    def prune(self, before: date) -> int:
        """Removes the files of the days before a day; returns how many days it removed."""
        # The days may be in a store while the home is new.
        self._folder.mkdir(parents=True, exist_ok=True)
        with self._locked(exclusive=True, wait=False) as held:
            if not held:
                return 0
            self._complete()
            old = [day for day, _ in self._days(Manifest()) if day < before]
            for day in old:
                self._daily.remove_day(day.isoformat())
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

    def _write_days(self, closed: Sequence[Path]) -> Manifest:
        tables = [table for segment in closed if (table := _whole_rows(segment)) is not None]
        publish: list[str] = []
        remove = [self._relative(segment) for segment in closed]
        sizes = self._daily.sizes() if tables else {}
        for day, stem, rows in self._parts(combine(tables)) if tables else ():
            files = sorted((n for n in sizes if is_of(n, day, stem)), key=number_of)
            small = [name for name in files if sizes[name] < FULL_BYTES]
            earlier = self._daily.each(small, lambda name: self._daily.read(name, None))
            merged = combine([*earlier, rows]).sort_by(AT)
            number = 1 + max((number_of(name) for name in files), default=0)
            name = f"{day}/{stem}-{number}.parquet"
            self._daily.write(hidden(name), merged)
            publish.append(f"{DAILY}/{name}")
            remove += [f"{DAILY}/{old}" for old in small]
        return Manifest(tuple(publish), tuple(remove))

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

    def _commit(self, manifest: Manifest) -> None:
        write_manifest(self._folder, manifest)
        self._finish(manifest)

    def _complete(self) -> None:
        """Does what is left of a compaction that has happened."""
        if has_manifest(self._folder):
            self._finish(read_manifest(self._folder))

    def _finish(self, manifest: Manifest) -> None:
        """Does what a manifest says; each step may be repeated."""
        there = set(self._daily.sizes())
        published = [_below_daily(name) for name in manifest.publish]
        # What it was made from goes only while it is there.
        require_written(published, there)
        waiting = {name for name in there if is_hidden(name)}
        for name in published:
            # In a store the copy may be there already, beside what it was made from.
            if hidden(name) in waiting:
                self._daily.move(hidden(name), name)
                waiting.discard(hidden(name))
        for name in manifest.remove:
            if name.startswith(f"{DAILY}/"):
                self._daily.remove(_below_daily(name))
            else:
                (self._folder / name).unlink(missing_ok=True)
        # What a compaction has left that was killed before its manifest.
        for stray in waiting:
            self._daily.remove(stray)
        remove_manifest(self._folder)

    def _segment_tables(self, manifest: Manifest, wanted: set[str] | None) -> Iterator[pa.Table]:
        for segment in segments_in(self.segments):
            if self._relative(segment) in manifest.remove:
                continue
            table = read_segment(segment).table
            if table is not None:
                yield table.select(chosen(table.column_names, wanted))

    def _days(self, manifest: Manifest) -> list[tuple[date, list[str]]]:
        """Days with the names of their files, the latest day first."""
        there = set(self._daily.sizes())
        gone = {_below_daily(name) for name in manifest.remove if name.startswith(f"{DAILY}/")}
        files = {name for name in there if not is_hidden(name)} - gone
        for name in map(_below_daily, manifest.publish):
            files.discard(name)
            files.add(hidden(name) if hidden(name) in there else name)
        days: dict[date, list[str]] = {}
        for name in sorted(files, key=number_of):
            days.setdefault(date.fromisoformat(name.partition("/")[0]), []).append(name)
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


def _whole_rows(segment: Path) -> pa.Table | None:
    read = read_segment(segment)
    if read.torn_bytes:
        # What was being written when the writer died, or when its disk was full.
        LOG.warning("%s ends in %d bytes that are no rows", segment.name, read.torn_bytes)
    return read.table


def _below_daily(name: str) -> str:
    return name.removeprefix(f"{DAILY}/")
