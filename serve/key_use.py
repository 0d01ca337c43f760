"""Notes when keys were last used, off the path of a request; no Ray inside."""

from __future__ import annotations

import logging
import threading

from core.access.use import write_use
from serve.gate import Gate

logger = logging.getLogger(__name__)

EVERY_S = 3.0


class KeyUse:
    """A thread that writes the note of one replica while keys are used.

    ``replica`` is unique, since it names the file.
    """

    def __init__(self, replica: str, gate: Gate, every_s: float = EVERY_S) -> None:
        self._replica = replica
        self._gate = gate
        self._every_s = every_s
        self._written: dict[str, float] = {}
        self._failed = False
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="key-use", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Writes what there is and ends the thread."""
        self._closing.set()
        self._thread.join(self._every_s)

    def _run(self) -> None:
        while not self._closing.wait(self._every_s):
            self._write()
        self._write()

    def _write(self) -> None:
        folder, used = self._gate.use, self._gate.used()
        if folder is None or used == self._written:
            return
        try:
            write_use(folder, self._replica, used)
        except OSError as exc:
            if not self._failed:
                logger.warning("the use of keys cannot be noted: %s", exc.strerror)
            self._failed = True
            return
        self._written, self._failed = used, False
