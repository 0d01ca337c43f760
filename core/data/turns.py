"""Turns at taking in a file: so many at a time, whichever process asks.

A turn is a lock on a file, so that the end of a process gives it back, however it ends.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.errors import ConflictError
from core.params_intake import IntakeParams

_POLL_S = 0.1


def turns_folder(home: Path) -> Path:
    """Where the turns of an installation are locked."""
    return home / "run" / "intake"


class Turns:
    """The turns of one installation; the files that are locked lie in ``folder``."""

    def __init__(self, folder: Path, limits: IntakeParams) -> None:
        self._files = [folder / f"turn-{number}" for number in range(limits.at_once)]
        self._wait_s = limits.wait_s

    @contextmanager
    def take(self) -> Iterator[None]:
        """Holds a turn until the block ends.

        Raises:
            ConflictError: others held all of them for as long as one may wait.
        """
        deadline = time.monotonic() + self._wait_s
        while (held := self._free()) is None:
            if time.monotonic() >= deadline:
                most = len(self._files)
                files = "1 file is" if most == 1 else f"{most} files are"
                raise ConflictError(
                    f"{files} being taken in just now, and no more at a time.",
                    fix="Wait until one of them is done, then give yours again.",
                )
            time.sleep(_POLL_S)
        try:
            yield
        finally:
            os.close(held)

    def _free(self) -> int | None:
        """Locks the first turn that nobody holds."""
        for file in self._files:
            file.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
            else:
                return descriptor
        return None
