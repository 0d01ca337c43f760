"""The lock of the one command that starts, stops or replaces an installation."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager

from core.backup.swap import complete_restore, is_incomplete
from core.errors import ConflictError
from core.services.layout import Layout


@contextmanager
def alone(layout: Layout) -> Iterator[None]:
    """Holds the lock until the block ends; the folder ``run`` has to be there.

    Raises:
        ConflictError: another command holds it.
    """
    with layout.lock_file.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise ConflictError(
                "Another command starts, stops or restores the installation just now.",
                fix="Wait for it to finish, then try again.",
            ) from exc
        yield


def complete_interrupted(layout: Layout) -> None:
    """Completes a restore that was killed in the midst of changing places, if there was one.

    Raises:
        ConflictError: it is still at work, or another process completes it.
        UnavailableError: something cannot be moved.
    """
    if is_incomplete(layout.home):
        layout.run.mkdir(exist_ok=True)
        with alone(layout):
            complete_restore(layout.home)
