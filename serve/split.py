"""Which requests fall into the share of a rollout; pure apart from a counter."""

from __future__ import annotations

from hashlib import blake2b

#: Names the one who asks, so that the same version answers them each time.
CALLER_KEY = "X-Caller-Key"
#: The golden ratio's fraction in 64 bits (Knuth, The Art of Computer Programming 3, 6.4): of
#: all sequences ``n * x mod 1`` its points spread most evenly, at every length.
_GOLDEN = 0x9E3779B97F4A7C15
_ALL = 1 << 64


class Split:
    """Gives each request of one rollout a place between 0 and 1. For the event loop alone.

    A request falls into a share if its place is below it, so whoever is in stays in as the share
    grows. With a key the place is the key's, on every replica and in every step, and another one
    in the next rollout. Without one places follow the golden ratio: of n such requests the share
    gets its part exactly, but for a few.
    """

    def __init__(self, rollout: str) -> None:
        self._salt = blake2b(rollout.encode(), digest_size=blake2b.SALT_SIZE).digest()
        self._asked = 0

    def takes(self, share: float, key: bytes) -> bool:
        """Whether the next request falls into a share; ``key`` is empty where none was given."""
        return (self._place_of(key) if key else self._next()) < share

    def _place_of(self, key: bytes) -> float:
        digest = blake2b(key, digest_size=8, salt=self._salt).digest()
        # 53 bits, which a float holds exactly: all 64 could come to 1.
        return (int.from_bytes(digest) >> 11) / (_ALL >> 11)

    def _next(self) -> float:
        self._asked += 1
        return (self._asked * _GOLDEN % _ALL >> 11) / (_ALL >> 11)
