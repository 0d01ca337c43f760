"""Two who act on one database at the same moment."""

from __future__ import annotations

import threading
from collections.abc import Callable

from core.adapters.database import Database
from core.errors import ConflictError


def race(url: str, act: Callable[[Database, int], None]) -> list[str]:
    """Two threads with a connection each act at the same time; how each fared."""
    outcomes: list[str] = []
    gate = threading.Barrier(2)

    def attempt(index: int) -> None:
        own = Database(url)
        gate.wait()
        try:
            act(own, index)
            outcomes.append("done")
        except ConflictError as exc:
            outcomes.append(type(exc).__name__)
        finally:
            own.close()

    threads = [threading.Thread(target=attempt, args=(index,)) for index in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes
