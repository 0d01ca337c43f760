"""Writes what a replica has counted to its file, off the path of a request; no Ray inside."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from core.deployment.metrics import remove_metrics, write_metrics
from serve.counts import Counts
from serve.store import ModelStore

logger = logging.getLogger(__name__)

#: The load that the panel shows is as old as this; writing takes well under a millisecond.
EVERY_S = 1.0


class MetricsFile:
    """A thread that replaces the file every few seconds, also where nothing has changed."""

    def __init__(self, counts: Counts, store: ModelStore, every_s: float = EVERY_S) -> None:
        self._counts = counts
        self._store = store
        self._every_s = every_s
        self._failed = False
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="metrics", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends the thread and takes the file away: who has gone serves nothing."""
        self._closing.set()
        self._thread.join(self._every_s)
        folder = self._folder
        if folder is not None:
            remove_metrics(folder, self._counts.replica)

    @property
    def _folder(self) -> Path | None:
        config = self._store.snapshot.config
        return config.metrics if config else None

    def _run(self) -> None:
        while not self._closing.wait(self._every_s):
            folder = self._folder
            if folder is None:
                continue
            try:
                text = self._counts.text(self._store.snapshot)
                write_metrics(folder, self._counts.replica, text)
            except OSError as exc:
                if not self._failed:
                    logger.warning("the metrics cannot be written: %s", exc.strerror)
                self._failed = True
            else:
                self._failed = False
