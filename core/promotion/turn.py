"""One decision at a time on this machine: from the database to the replicas.

Whoever holds the turn is at work on a decision. When the worker gets it and finds a decision
that is not carried out, nobody is: the process has died or given up.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.errors import ConflictError

POLL_S = 0.02
PATIENCE_S = 60.0


class Turn:
    """A lock on a file. The end of the process frees it, whichever way it ends."""

    def __init__(self, file: Path) -> None:
        self._file = file

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Waits for the turn and holds it.

        Raises:
            ConflictError: somebody else holds it for too long.
        """
        deadline = time.monotonic() + PATIENCE_S
        with self._opened() as lock:
            while not _locks(lock):
                if time.monotonic() > deadline:
                    raise ConflictError(
                        "Another decision is being carried out.",
                        fix="Try again once it is done; `pilothouse promote list` shows it.",
                    )
                time.sleep(POLL_S)
            yield

    @contextmanager
    def taken_if_free(self) -> Iterator[bool]:
        """Holds the turn if nobody does, and says whether it does."""
        with self._opened() as lock:
            yield _locks(lock)

    @contextmanager
    def _opened(self) -> Iterator[int]:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            yield lock
        finally:
            os.close(lock)


def _locks(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
