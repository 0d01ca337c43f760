"""The folder in which a batch is prepared; what a killed process left there is cleaned up.

A preparation is a folder of its own that is locked while its process lives. It is there from
before anything else is written until after everything is, so whoever finds one that nobody
locks knows which batch was left half-done.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from core.errors import PilothouseError, UnavailableError

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Preparation:
    """A batch that is being prepared: its id, and a folder for what is not yet in place."""

    problem: str
    batch_id: str
    folder: Path


#: Takes back what was written of a batch, unless all of it was.
Undo = Callable[[Preparation], None]


class Incoming:
    """Preparations of one installation, by any number of processes at the same time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def prepare(self, problem: str, undo: Undo) -> Iterator[Preparation]:
        """Gives a new batch a folder until the block ends; if it fails, ``undo`` is called.

        What killed processes left half-done is undone first. ``undo`` may be called again
        for the same batch.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        with _locked(self._folder):
            self._clean(undo)
            preparation = self._named(f"{problem}-{uuid.uuid4().hex}")
            preparation.folder.mkdir()
            own = _lock(preparation.folder)
        try:
            yield preparation
        except BaseException:
            _take_back(preparation, undo)
            raise
        else:
            shutil.rmtree(preparation.folder)
        finally:
            # The last thing: until then nobody may take it for left behind.
            os.close(own)

    def _clean(self, undo: Undo) -> None:
        for folder in sorted(self._folder.iterdir()):
            try:
                lock = _lock(folder, wait=False)
            except (BlockingIOError, FileNotFoundError):
                continue
            try:
                _take_back(self._named(folder.name), undo)
            finally:
                os.close(lock)

    def _named(self, name: str) -> Preparation:
        problem, _, batch_id = name.rpartition("-")
        return Preparation(problem, batch_id, self._folder / name)


def _take_back(preparation: Preparation, undo: Undo) -> None:
    try:
        undo(preparation)
    except PilothouseError as exc:
        # Its folder stays, so that the next one to prepare a batch tries again.
        LOG.warning("batch %s is still half-done: %s", preparation.batch_id, exc)
    else:
        shutil.rmtree(preparation.folder)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    lock = _lock(folder)
    try:
        yield
    finally:
        os.close(lock)


def _lock(folder: Path, *, wait: bool = True) -> int:
    """Locks a folder; closing the descriptor, or the end of the process, frees it.

    Raises:
        BlockingIOError: somebody else holds it, and ``wait`` is false.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    with contextlib.ExitStack() as on_failure:
        on_failure.callback(os.close, descriptor)
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        on_failure.pop_all()
    return descriptor


@contextmanager
def disk_errors(what: str) -> Iterator[None]:
    """Tells of a disk that does not take ``what``, such as ``The batch``, in a sentence."""
    try:
        yield
    except OSError as exc:
        raise UnavailableError(
            f"{what} cannot be stored ({exc.strerror or type(exc).__name__}).",
            fix="Check the disk and the rights of PILOTHOUSE_HOME.",
        ) from exc
