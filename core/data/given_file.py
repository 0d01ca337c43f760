"""Opens a CSV or Parquet file that somebody gave, or says in one sentence why it cannot be."""

from __future__ import annotations

import hashlib
import shutil
import stat
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from core.data.reading import HEADER_BYTES, SAVE_AS, GivenFile, neither
from core.data.reading_csv import CsvFile
from core.data.reading_parquet import ParquetFile
from core.errors import InvalidInputError, NotFoundError, Offence

PARQUET_MAGIC = b"PAR1"
_COPY_BYTES = 1 << 20
_LONGEST_NAME = 200
_COMPRESSED = {
    b"\x1f\x8b": "gzip",
    b"PK\x03\x04": "zip",
    b"BZh91AY&SY": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"7z\xbc\xaf\x27\x1c": "7z",
    b"\x04\x22\x4d\x18": "lz4",
}
_OTHER_ENCODINGS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16", b"\x00\x00\xfe\xff": "UTF-32"}


def open_given(path: Path, name: str, max_bytes: int | None = None) -> GivenFile:
    """Opens a file that somebody gave; ``name`` is what it is called in messages.

    Raises:
        NotFoundError: there is no such file.
        InvalidInputError: the file is neither CSV nor Parquet, is larger than ``max_bytes``,
            has no rows, or names a column twice.
    """
    head = _head_of(path, name, max_bytes)
    if head.startswith(PARQUET_MAGIC):
        return _with_distinct_names(ParquetFile(path, name))
    _refuse_what_is_no_text(head, name)
    return _with_distinct_names(CsvFile(path, name, head))


def _head_of(path: Path, name: str, max_bytes: int | None) -> bytes:
    """The first bytes of a file that may be read."""
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise InvalidInputError(f"{name} is not a file.", fix="Give one CSV or Parquet file.")
        if max_bytes is not None and found.st_size > max_bytes:
            raise InvalidInputError(
                f"The file {name} has {found.st_size / (1 << 20):,.0f} MiB; "
                f"{max_bytes / (1 << 20):,.0f} MiB is the most.",
                fix="Split it, or give it as Parquet.",
            )
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
    for magic, kind in _COMPRESSED.items():
        if head.startswith(magic):
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
    names = opened.names
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise InvalidInputError(
            f"The file {opened.name} has more than one column {', '.join(repeated)}.",
            fix="Give every column a name of its own.",
            offences=[Offence(name, "column is repeated") for name in repeated],
        )
    return opened


def receive(given: BinaryIO, path: Path) -> Path:
    """Puts the bytes of a stream into a file and returns the file."""
    with path.open("wb") as file:
        shutil.copyfileobj(given, file, _COPY_BYTES)
    return path


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


def shown_name(name: str) -> str:
    """A name for people: one line of text that can be stored and printed."""
    storable = name.encode("utf-8", "replace").decode("utf-8")
    printed = "".join(
        "�" if unicodedata.category(sign).startswith("C") else sign for sign in storable
    )
    return printed.strip()[:_LONGEST_NAME] or "without a name"
