"""Streams that are hashed as they pass."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import IO, BinaryIO, Protocol

_CHUNK = 1 << 20


class Hashed(Protocol):
    """A hash that is being made."""

    def update(self, data: bytes, /) -> None:
        """Takes in more."""


class Tee(io.RawIOBase):
    """Passes on what is written or read, and shows it to a hash."""

    def __init__(self, file: BinaryIO, seen: Hashed) -> None:
        self._file = file
        self._seen = seen
        self.count = 0

    def writable(self) -> bool:
        """Says that it takes bytes."""
        return True

    def readable(self) -> bool:
        """Says that it gives bytes."""
        return True

    def write(self, data: bytes, /) -> int:  # type: ignore[override]
        """Writes all of it."""
        self._file.write(data)
        self._note(bytes(data))
        return len(data)

    def read(self, size: int = -1, /) -> bytes:
        """Reads up to so many bytes."""
        data = self._file.read(size)
        self._note(data)
        return data

    def _note(self, data: bytes) -> None:
        self._seen.update(data)
        self.count += len(data)


def chunks(file: IO[bytes] | io.BufferedIOBase) -> Iterator[bytes]:
    """What is left of a file, piece by piece."""
    read: Callable[[int], bytes] = file.read
    while chunk := read(_CHUNK):
        yield chunk
