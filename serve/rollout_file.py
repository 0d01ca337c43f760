"""Writes what a replica notes of rollouts, off the path of a request; no Ray inside."""

from __future__ import annotations

import logging
import threading

from core.rollout.notes import write_notes
from serve.store import ModelStore

logger = logging.getLogger(__name__)

#: A guard acts on what it reads: so old are its numbers at most.
EVERY_S = 1.0
CLOSE_TIMEOUT_S = 3.0


class RolloutFiles:
    """A thread that replaces the file of each rollout that something was counted of.

    ``replica`` is unique, since it names the files; they are left behind, also when a rollout or
    the replica ends. Without a rollout there is nothing to write.
    """

    def __init__(self, replica: str, store: ModelStore, every_s: float = EVERY_S) -> None:
        self._replica = replica
        self._store = store
        self._every_s = every_s
        #: Rollout -> what was written last.
        self._written: dict[str, int] = {}
        self._failed = False
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="rollout-notes", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Writes what there is and ends the thread."""
        self._closing.set()
        self._thread.join(CLOSE_TIMEOUT_S)

    def _run(self) -> None:
        while not self._closing.wait(self._every_s):
            self._write()
        self._write()

    def _write(self) -> None:
        config = self._store.snapshot.config
        if config is None or config.rollouts is None:
            return
        written: dict[str, int] = {}
        try:
            for counts in self._store.seconds.counts():
                # Before the notes are taken: what comes in between is written next time.
                revision = counts.revision
                if self._written.get(counts.rollout) != revision or counts.is_restless:
                    write_notes(config.rollouts, counts.rollout, self._replica, counts.notes())
                written[counts.rollout] = revision
        except Exception:
            # A full disk, mostly. The thread has to live for what is counted later.
            if not self._failed:
                logger.exception("the notes of a rollout cannot be written")
            self._failed = True
        else:
            self._failed = False
        self._written |= written
