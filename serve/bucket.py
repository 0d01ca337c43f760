"""How often one key may ask: a token bucket."""

from __future__ import annotations


class Bucket:
    """Holds up to ``capacity`` tokens, refills by ``rate`` a second, gives one a request.

    It is full at first. In any span of t seconds it gives at most ``capacity + rate * t``.
    """

    __slots__ = ("_at_s", "_left", "capacity", "rate")

    def __init__(self, rate: float, capacity: float) -> None:
        self.rate = rate
        self.capacity = max(1.0, capacity)
        self._left = self.capacity
        self._at_s = 0.0

    def take(self, now_s: float) -> float:
        """Takes a token and returns 0, or returns the seconds after which there is one.

        A clock that is set back refills nothing until it is where it was.
        """
        left = self._left
        if now_s > self._at_s:
            left = min(self.capacity, left + (now_s - self._at_s) * self.rate)
            self._at_s = now_s
        if left >= 1.0:
            self._left = left - 1.0
            return 0.0
        self._left = left
        return (1.0 - left) / self.rate
