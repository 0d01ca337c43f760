"""Opens a CSV or Parquet file that somebody gave, or says in one sentence why it cannot be."""

from __future__ import annotations

import hashlib
import os
import stat
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from core.data.confined import MAGIC, ConfinedParquet
from core.data.names import shown_name
from core.data.reading import HEADER_BYTES, SAVE_AS, GivenFile, neither, require_columns
from core.data.reading_csv import CsvFile
from core.data.reading_parquet import ParquetFile
from core.data.signatures import compressed_as
from core.errors import InvalidInputError, NotFoundError, Offence
from core.params_intake import IntakeParams

_COPY_BYTES = 1 << 20
#: Longest name of a column in a message, and how many of them are named.
_COLUMN_NAME = 80
_MOST_NAMED = 10
_OTHER_ENCODINGS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16", b"\x00\x00\xfe\xff": "UTF-32"}


def open_given(path: Path, name: str, limits: IntakeParams | None = None) -> GivenFile:
    """Opens a file that somebody gave; ``name`` is what it is called in messages.

    Without ``limits`` the file is one of our own: it is trusted and may have any size.

    Raises:
        NotFoundError: there is no such file.
        InvalidInputError: the file is neither CSV nor Parquet, is beyond one of ``limits``,
            has no rows, or names a column twice.
        UnavailableError: the process that reads Parquet cannot be started.
    """
    head = _head_of(path, name, limits.max_bytes if limits else None)
    opened: GivenFile
    if not head.startswith(MAGIC):
        _refuse_what_is_no_text(head, name)
        opened = CsvFile(path, name, head, limits)
    elif limits is None:
        opened = ParquetFile(path, name)
    else:
        opened = ConfinedParquet(path, name, limits)
    require_columns(name, len(opened.names), limits)
    return _with_distinct_names(opened)


def _head_of(path: Path, name: str, max_bytes: int | None) -> bytes:
    """The first bytes of a file that may be read."""
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise InvalidInputError(f"{name} is not a file.", fix="Give one CSV or Parquet file.")
        if max_bytes is not None and found.st_size > max_bytes:
            raise _too_large(name, found.st_size, max_bytes)
        with path.open("rb") as file:
            head = file.read(HEADER_BYTES)
    except (FileNotFoundError, NotADirectoryError) as exc:
        raise NotFoundError(f"There is no file {name}.", fix="Check the path.") from exc
    except (OSError, ValueError) as exc:
        # A null byte in a path is a ValueError.
        raise InvalidInputError(
            f"The file {name} cannot be read.", fix="Check its name and its rights."
        ) from exc
    if not head:
        raise InvalidInputError(f"The file {name} is empty.", fix=SAVE_AS)
    return head


def _refuse_what_is_no_text(head: bytes, name: str) -> None:
    if (kind := compressed_as(head)) is not None:
        raise InvalidInputError(
            f"The file {name} is compressed ({kind}).",
            fix="Unpack it, or save it as Parquet, which is compressed by itself.",
        )
    for magic, encoding in _OTHER_ENCODINGS.items():
        if head.startswith(magic):
            raise InvalidInputError(f"The file {name} is in {encoding}.", fix=SAVE_AS)
    if b"\0" in head or not head.strip():
        raise neither(name)


def _with_distinct_names(opened: GivenFile) -> GivenFile:
    repeated = sorted(name for name, times in Counter(opened.names).items() if times > 1)
    if repeated:
        shown = [shown_name(name, _COLUMN_NAME) for name in repeated[:_MOST_NAMED]]
        raise InvalidInputError(
            f"The file {opened.name} has more than one column {', '.join(shown)}.",
            fix="Give every column a name of its own.",
            offences=[Offence(name, "column is repeated") for name in shown],
        )
    return opened


def receive(given: BinaryIO, path: Path, name: str, limits: IntakeParams) -> Path:
    """Puts the bytes of a stream into a file and returns the file.

    Raises:
        InvalidInputError: they are more than are taken; none is read where the stream can
            tell beforehand.
    """
    if given.seekable():
        size = given.seek(0, os.SEEK_END)
        if size > limits.max_bytes:
            raise _too_large(name, size, limits.max_bytes)
        given.seek(0)
    received = 0
    with path.open("wb") as file:
        while chunk := given.read(_COPY_BYTES):
            received += len(chunk)
            if received > limits.max_bytes:
                raise _too_large(name, received, limits.max_bytes)
            file.write(chunk)
    return path


def _too_large(name: str, size: int, max_bytes: int) -> InvalidInputError:
    return InvalidInputError(
        f"The file {name} has {size / (1 << 20):,.1f} MiB; {max_bytes >> 20:,} MiB is the most.",
        fix="Split it, or give it as Parquet.",
    )


def sha256_of(path: Path, on_share: Callable[[float], None]) -> str:
    """SHA-256 of a file's bytes in hex; ``on_share`` hears the share that is read."""
    digest, read, size = hashlib.sha256(), 0, path.stat().st_size
    with path.open("rb") as file:
        # No further than its size of now: somebody may be writing to it.
        while read < size and (chunk := file.read(_COPY_BYTES)):
            digest.update(chunk)
            read += len(chunk)
            on_share(min(1.0, read / size))
    return digest.hexdigest()


def state_of(path: Path) -> tuple[int, int]:
    """Size in bytes and time of the last change in ns, which differ once it was written to."""
    found = path.stat()
    return found.st_size, found.st_mtime_ns
