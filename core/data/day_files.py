"""The finished files of a log by day: Parquet files in the home or in an S3 store.

Both are one kind of file system to everybody else. What differs is here: what is in the
home is waited for until the disk has it, and what is in the store is asked for side by side.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from pathlib import Path, PurePosixPath
from typing import TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from core.data.log_tables import ALWAYS, GROUP_ROWS, Span, read_groups
from core.errors import RowCountError, UnavailableError
from core.store_errors import store_errors

#: Files that are fetched from a store at the same time.
SIDE_BY_SIDE = 8
_OURS = re.compile(r"\d{4}-\d\d-\d\d/[^/]+-\d+\.parquet")
_T = TypeVar("_T")


class DayFiles:
    """Files ``<day>/<file>.parquet`` below ``folder`` of ``files``; each is written once.

    A file whose name begins with a dot is not published: whoever reads leaves it out.
    ``files`` is a ``SubTreeFileSystem``; where it stands on the local disk, writing is durable.
    """

    def __init__(self, files: fs.FileSystem, folder: str, what: str = "the log") -> None:
        self._files = files
        self._folder = PurePosixPath(folder)
        self._what = what
        self._disk = place_on_disk(files)

    def sizes(self) -> Mapping[str, int]:
        """Name of every file, hidden or not -> its bytes."""
        with self._errors():
            found = _found(self._files, str(self._folder), recursive=True)
        sizes = {
            str(PurePosixPath(info.path).relative_to(self._folder)): info.size
            for info in found
            if info.type is fs.FileType.File
        }
        # In a bucket somebody may have put something else beside them.
        return {name: size for name, size in sizes.items() if _OURS.fullmatch(name)}

    def read(self, name: str, columns: set[str] | None, span: Span = ALWAYS) -> pa.Table:
        """Reads those of ``columns`` that the file has; all of them for ``None``.

        Groups of rows that lie outside ``span`` are left out; of the others every row is read.
        """
        # Columns of a group are asked for in one go where each question takes a way.
        with (
            self._errors(),
            self._files.open_input_file(self._path(name)) as source,
            pq.ParquetFile(source, pre_buffer=self._disk is None) as file,
        ):
            return read_groups(file, columns, span)

    def each(self, names: Iterable[str], read: Callable[[str], _T]) -> Iterator[_T]:
        """What ``read`` gives for each name, in order; those in a store are read side by side."""
        if self._disk is not None:
            yield from map(read, names)
            return
        with ThreadPoolExecutor(SIDE_BY_SIDE, thread_name_prefix="day-files") as pool:
            yield from pool.map(read, names)

    def write(self, name: str, table: pa.Table) -> None:
        """Writes a file, counts its rows, and waits until disk or store have it.

        Raises:
            RowCountError: the file holds another number of rows than the table.
        """
        path = self._path(name)
        plain = table.replace_schema_metadata(None)
        with self._errors():
            if self._disk is not None:
                (self._disk / path).parent.mkdir(parents=True, exist_ok=True)
            with self._files.open_output_stream(path) as sink:
                pq.write_table(plain, sink, compression="zstd", row_group_size=GROUP_ROWS)
            if self._disk is not None:
                _sync(self._disk / path)
            found = pq.read_metadata(path, filesystem=self._files).num_rows
        if found != table.num_rows:
            raise RowCountError(
                f"{name} holds {found} rows, but {table.num_rows} were written.",
                fix="Check the disk of PILOTHOUSE_HOME, or the S3 store.",
            )

    def move(self, name: str, to: str) -> None:
        """Gives a file another name; a store copies it and removes what it has copied.

        Begun again after it was interrupted, it completes. ``name`` has to be there.
        """
        with self._errors():
            self._files.move(self._path(name), self._path(to))

    def remove(self, name: str) -> None:
        """Removes a file, which may be gone already."""
        with self._errors(), suppress(FileNotFoundError):
            self._files.delete_file(self._path(name))

    def remove_day(self, day: str) -> None:
        """Removes a day with all its files."""
        with self._errors(), suppress(FileNotFoundError):
            self._files.delete_dir(self._path(day))

    def _path(self, name: str) -> str:
        return str(self._folder / name)

    def _errors(self) -> AbstractContextManager[None]:
        return store_errors(self._what, is_in_home=self._disk is not None)


def in_folder(folder: Path) -> fs.FileSystem:
    """File system whose paths begin at a folder of the local disk."""
    return fs.SubTreeFileSystem(str(folder), fs.LocalFileSystem())


def folders_in(files: fs.FileSystem, what: str) -> frozenset[str]:
    """Names of the folders at the beginning of a file system, which may not be there."""
    with store_errors(what, is_in_home=place_on_disk(files) is not None):
        found = _found(files, "", recursive=False)
    return frozenset(
        PurePosixPath(info.path).name for info in found if info.type is fs.FileType.Directory
    )


def place_on_disk(files: fs.FileSystem) -> Path | None:
    """Where on the local disk a file system begins; ``None`` where it is in a store."""
    base, below = _base(files)
    return Path(below) if isinstance(base, fs.LocalFileSystem) else None


def _base(files: fs.FileSystem) -> tuple[fs.FileSystem, PurePosixPath]:
    """What a file system is a part of, and where it begins there."""
    below = PurePosixPath()
    while isinstance(files, fs.SubTreeFileSystem):
        below = PurePosixPath(files.base_path) / below
        files = files.base_fs
    return files, below


def _found(files: fs.FileSystem, folder: str, *, recursive: bool) -> Sequence[fs.FileInfo]:
    """What lies in a folder, which may not be there; the bucket that it is in has to be.

    Raises:
        OSError: it has failed.
    """
    selector = fs.FileSelector(folder, allow_not_found=True, recursive=recursive)
    found: Sequence[fs.FileInfo] = files.get_file_info(selector)
    if not found:
        base, below = _base(files)
        # Whoever read a lost bucket as an empty log would take its rows for gone.
        if not isinstance(base, fs.LocalFileSystem):
            bucket = below.parts[0]
            if base.get_file_info(bucket).type is fs.FileType.NotFound:
                raise OSError(f"there is no bucket {bucket}")
    return found


def require_written(published: Iterable[str], there: Collection[str]) -> None:
    """Passes if every file that was written is there, under the one name or the other.

    Raises:
        UnavailableError: one is at neither.
    """
    for name in published:
        if name not in there and hidden(name) not in there:
            raise UnavailableError(
                f"The rows of {name} are not where they were written.",
                fix="Check PILOTHOUSE_STORE_URL and the bucket. Nothing is removed before.",
            )


def _sync(path: Path) -> None:
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def hidden(name: str) -> str:
    """The name of a file before it is published."""
    path = PurePosixPath(name)
    return str(path.with_name(f".{path.name}"))


def is_hidden(name: str) -> bool:
    """Whether a file is not published."""
    return PurePosixPath(name).name.startswith(".")


def is_of(name: str, day: str, stem: str) -> bool:
    """Whether a file is a published one of a day and stem."""
    folder, _, file = name.partition("/")
    return folder == day and file.rpartition("-")[0] == stem


def number_of(name: str) -> int:
    """The number in a file's name; the later ones of a day are larger."""
    return int(PurePosixPath(name).stem.rpartition("-")[2])
