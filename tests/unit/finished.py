"""Where tests keep the finished days of a log; ``tests/contract/on_s3`` puts a bucket there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePosixPath

from pyarrow import fs

from core.data.day_files import in_folder

#: File system of the finished days of the log in a folder.
choice: Callable[[Path], fs.FileSystem] = in_folder


def finished_in(folder: Path) -> fs.FileSystem:
    """File system of the finished days of the log in a folder."""
    return choice(folder)


def names_in(folder: Path) -> list[str]:
    """Last part of the name of every Parquet file of the log, hidden or not, in order."""
    return sorted(PurePosixPath(path).name for path in paths_in(folder))


def paths_in(folder: Path) -> list[str]:
    """Where every Parquet file of the log lies in its file system, in order."""
    selector = fs.FileSelector("", allow_not_found=True, recursive=True)
    found = finished_in(folder).get_file_info(selector)
    return sorted(info.path for info in found if info.path.endswith(".parquet"))
