"""Ids of answered requests: unique, not to be guessed, and they tell when they were made.

They are UUIDs of version 7 (RFC 9562, section 5.7) as 32 hexadecimal digits: 48 bits of
milliseconds since 1970, then 74 random bits. Who looks one up in months of a log reads the
files of one day.
"""

from __future__ import annotations

import re
import secrets
from collections import deque
from datetime import UTC, datetime, timedelta

from core.errors import InvalidInputError

#: An id names a moment no finer than this.
RESOLUTION = timedelta(milliseconds=1)
_VERSION, _VARIANT = 7, 0b10
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: Enough for 74 bits. The system is asked for many ids at a time: asking costs more than the rest.
_DRAWN_BYTES, _DRAWN_AT_ONCE = 10, 256
_drawn: deque[bytes] = deque()
_TEXT = re.compile(r"[0-9a-f]{32}")
_TELLS_TIME = re.compile(r"[0-9a-f]{12}7[0-9a-f]{3}[89ab][0-9a-f]{15}")


def new_request_id(at_us: int) -> str:
    """Makes the id of a request answered ``at_us`` microseconds after 1970, UTC."""
    random = _draw() >> 6
    high = (at_us // 1000) << 16 | _VERSION << 12 | random >> 62
    low = _VARIANT << 62 | random & (1 << 62) - 1
    return f"{high << 64 | low:032x}"


def _draw() -> int:
    """80 random bits of the system, handed out once each, also to several threads."""
    while True:
        try:
            return int.from_bytes(_drawn.popleft())
        except IndexError:
            many = secrets.token_bytes(_DRAWN_BYTES * _DRAWN_AT_ONCE)
            _drawn.extend(
                many[start : start + _DRAWN_BYTES] for start in range(0, len(many), _DRAWN_BYTES)
            )


def made_at(request_id: str) -> datetime | None:
    """When an id was made, to the millisecond; ``None`` for one that does not tell.

    Ids of releases before this scheme were random throughout.
    """
    if not _TELLS_TIME.fullmatch(request_id):
        return None
    try:
        return _EPOCH + timedelta(milliseconds=int(request_id[:12], 16))
    except OverflowError:  # somebody's own making: a moment that no calendar has
        return None


def read_request_id(text: str) -> str:
    """An id as it stands in the log, from what a person typed or pasted.

    Raises:
        InvalidInputError: it is none.
    """
    plain = text.strip().lower().replace("-", "")
    if not _TEXT.fullmatch(plain):
        raise InvalidInputError(
            f"{text.strip()[:64]!r} is not the id of an answered request.",
            fix="It is the request_id of an answer: 32 hexadecimal digits.",
        )
    return plain
