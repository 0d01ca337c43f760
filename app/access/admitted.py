"""Pages on which somebody has logged in, so that the server need not read Streamlit's cookie."""

from __future__ import annotations

import threading
from functools import cache

_MOST = 10_000


class Admitted:
    """The ids of Streamlit's sessions that belong to somebody; the newest are remembered."""

    def __init__(self) -> None:
        self._ids: dict[str, None] = {}
        self._lock = threading.Lock()

    def add(self, session_id: str) -> None:
        """A page has found out who sits before it."""
        with self._lock:
            self._ids[session_id] = self._ids.pop(session_id, None)
            while len(self._ids) > _MOST:
                del self._ids[next(iter(self._ids))]

    def drop(self, session_id: str) -> None:
        """Whoever sits before it has no business there any more."""
        with self._lock:
            self._ids.pop(session_id, None)

    def has(self, session_id: str) -> bool:
        """Whether a page belongs to somebody."""
        return session_id in self._ids


@cache
def admitted() -> Admitted:
    """Those of this process, which the server and every page share."""
    return Admitted()
