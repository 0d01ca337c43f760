"""How often somebody may be wrong."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

WINDOW_S = 300.0
MOST_BY_ADDRESS = 10
MOST_IN_TOTAL = 200


class Throttle:
    """Counts wrong attempts of the last minutes, by address and of all together.

    A token has 256 random bits and cannot be guessed: this keeps attempts from costing the
    machine something and from filling its log.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._wrong: deque[tuple[float, str]] = deque(maxlen=MOST_IN_TOTAL)
        self._lock = threading.Lock()

    def wait_s(self, address: str) -> float:
        """Seconds until another attempt is heard; 0 if it is heard now."""
        with self._lock:
            now = self._clock()
            while self._wrong and now - self._wrong[0][0] >= WINDOW_S:
                self._wrong.popleft()
            if len(self._wrong) >= MOST_IN_TOTAL:
                return self._wrong[0][0] + WINDOW_S - now
            own = [at for at, whose in self._wrong if whose == address]
            return own[-MOST_BY_ADDRESS] + WINDOW_S - now if len(own) >= MOST_BY_ADDRESS else 0.0

    def note_wrong(self, address: str) -> None:
        """Counts an attempt that was wrong."""
        with self._lock:
            self._wrong.append((self._clock(), address))
