"""Which requests began before a switch of versions, so that it can be waited for their end."""

from __future__ import annotations

import asyncio
from collections import Counter

_POLL_S = 0.01


class Ongoing:
    """Counts requests that are being answered. For the event loop alone."""

    def __init__(self) -> None:
        self._turn = 0
        self._counts: Counter[int] = Counter()

    def begin(self) -> int:
        """Counts a request; what it returns belongs into ``end``."""
        self._counts[self._turn] += 1
        return self._turn

    def end(self, turn: int) -> None:
        """The request is answered, or nobody waits for its answer any more."""
        self._counts[turn] -= 1

    async def wait_for_earlier(self, timeout_s: float) -> bool:
        """Returns once every request is answered that began before this call.

        Those that begin meanwhile are not waited for. False if some are still going on after
        ``timeout_s``.
        """
        earlier = self._turn
        self._turn += 1
        deadline = asyncio.get_running_loop().time() + timeout_s
        while any(count for turn, count in self._counts.items() if turn <= earlier):
            if asyncio.get_running_loop().time() >= deadline:
                return False
            await asyncio.sleep(_POLL_S)
        for turn in [turn for turn in self._counts if turn <= earlier]:
            del self._counts[turn]
        return True
