"""Small files that only their owner may read, written wholly or not at all."""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


def keep_secret(path: Path, make: Callable[[], bytes]) -> bytes:
    """Reads a secret; where there is none yet, makes it. Whoever asks at once gets the same.

    Raises:
        OSError: it cannot be read or made.
    """
    if not path.exists():
        with locked(path):
            if not path.exists():
                write_durably(path, make())
    return path.read_bytes()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Waits until no other process or thread holds the lock beside a file."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    file = os.open(
        path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
    )
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)


def write_durably(path: Path, content: bytes) -> None:
    """Replaces a file that only its owner may read, wholly or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    unborn = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        file = os.open(unborn, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(file, "wb") as open_file:
            open_file.write(content)
            open_file.flush()
            os.fsync(open_file.fileno())
        unborn.rename(path)
    finally:
        unborn.unlink(missing_ok=True)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Makes what was made or renamed in a folder outlast a loss of power."""
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
