"""Who is answered: keys, what they are for, and how often they may ask; no Ray inside.

A key is looked up by its SHA-256 and then as a whole in a dictionary, so the time that takes
says nothing about how much of a wrong key is right. Nothing here logs what a caller has sent.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from core.access.admission import Admission, AdmittedKey
from core.access.serving_key import PREFIX, Scope
from core.params_rates import RateParams
from serve.bucket import Bucket
from serve.http import HttpError

logger = logging.getLogger(__name__)

_OURS = PREFIX.encode()
_BEARER = b"bearer "
_CHALLENGE = b"www-authenticate"
_Headers = Iterable[tuple[bytes, bytes]]


@dataclass(slots=True)
class _Held:
    """A key in memory; ``None`` for ``key`` is the installation's own, which may do all."""

    key: AdmittedKey | None = None
    bucket: Bucket = field(default_factory=lambda: Bucket(1.0, 1.0))
    expires_s: float = math.inf
    problem: str = ""
    #: With ``None``, which asks for no scope.
    scopes: frozenset[Scope | None] = frozenset()
    #: Seconds since 1970; 0 if not since the replica started.
    used_s: float = 0.0


@dataclass(frozen=True)
class _Doors:
    """Everything that a request is held against, seen at one moment."""

    required: bool = True
    #: SHA-256 of a whole key -> the key.
    held: Mapping[bytes, _Held] = field(default_factory=dict)
    #: Keys that were taken, as they were sent, so that each is hashed once: OpenSSL's call
    #: costs a tenth of an answer. There are no more than keys, and a change forgets them.
    seen: dict[bytes, _Held] = field(default_factory=dict, repr=False)
    use: Path | None = None

    def find(self, token: bytes) -> _Held | None:
        """The key that a caller has sent; ``None`` if it is none of ours."""
        held = self.held.get(sha256(token).digest())
        if held is not None:
            self.seen[token] = held
        return held


class Gate:
    """Lets requests in or refuses them. Until ``apply`` is called it lets nobody in."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._doors = _Doors()

    def apply(self, user_config: Mapping[str, Any]) -> None:
        """Holds requests against the ``access`` of a ``user_config`` from now on.

        Never raises, as ``ModelStore.apply``: what cannot be read changes nothing, and the
        store says what is wrong with it.
        """
        try:
            access = Admission.model_validate(user_config.get("access"))
        except ValidationError:
            logger.error("The configuration of keys cannot be read; the one before holds.")
            return
        old = self._doors.held
        held = {bytes.fromhex(access.own_sha256): _Held()}
        for key in access.keys:
            digest = bytes.fromhex(key.sha256)
            held[digest] = _hold(key, access.limits, old.get(digest))
        self._doors = _Doors(access.required, held, use=access.use)

    @property
    def required(self) -> bool:
        """Whether a request without a key is refused."""
        return self._doors.required

    def admit(self, headers: _Headers, problem: str, scope: Scope | None) -> None:
        """Lets a request for a problem in, or refuses it; its body has not been read.

        Where no key is required, a request without one is let in. One that brings a key of
        ours is held to it all the same.

        Args:
            headers: names in lower case, and values, as ASGI gives them.
            problem: what the address says.
            scope: what the key has to be for; ``None`` where any key of the problem will do.

        Raises:
            HttpError: no key or none that is taken (401), one that is not for this (403), or
                one that asks too often (429).
        """
        doors = self._doors
        token = _token(headers)
        if not token.startswith(_OURS):
            if doors.required:
                raise _refused(token)
            return
        held = doors.seen.get(token) or doors.find(token)
        if held is None:
            raise _refused(token)
        if held.key is None:
            return
        now_s = self._clock()
        if now_s >= held.expires_s:
            raise _refused(token)
        if problem != held.problem or scope not in held.scopes:
            raise _not_for_this(held.key)
        wait_s = held.bucket.take(now_s)
        if wait_s > 0.0:
            raise _too_often(held.bucket, wait_s)
        held.used_s = now_s

    @property
    def use(self) -> Path | None:
        """Folder of the notes of use; ``None`` until there is one."""
        return self._doors.use

    def used(self) -> dict[str, float]:
        """Key id -> seconds since 1970 of its last answer by this replica."""
        held = self._doors.held.values()
        return {h.key.id: h.used_s for h in held if h.key is not None and h.used_s > 0.0}


def _hold(key: AdmittedKey, limits: RateParams, before: _Held | None) -> _Held:
    rate = key.requests_per_second or limits.requests_per_second
    # The default's seconds of burst, whatever a key's own rate is.
    bucket = Bucket(rate, limits.burst * rate / limits.requests_per_second)
    expires_s = math.inf if key.expires_at is None else key.expires_at.timestamp()
    held = _Held(key, bucket, expires_s, key.problem, frozenset((*key.scopes, None)))
    if before is not None:
        held.used_s = before.used_s
        if (before.bucket.rate, before.bucket.capacity) == (bucket.rate, bucket.capacity):
            # A change of other keys is no pause for this one.
            held.bucket = before.bucket
    return held


def _token(headers: _Headers) -> bytes:
    """What a caller has given as a key; nothing if there is none."""
    given = b""
    for name, value in headers:
        if name == b"authorization" and value[:7].lower() == _BEARER:
            return value[7:].strip()
        if name == b"x-api-key":
            given = value.strip()
    return given


def _refused(token: bytes) -> HttpError:
    # RFC 6750, section 3.1: no error is named to who has sent no key.
    challenge = b'Bearer realm="pilothouse"'
    message = "Send a key of this problem: Authorization: Bearer ph_… or X-API-Key: ph_…."
    if token:
        challenge += b', error="invalid_token"'
        message = "This key is not taken: it may be wrong, expired or revoked."
    return HttpError(401, "unauthorized", message, headers=((_CHALLENGE, challenge),))


def _not_for_this(key: AdmittedKey) -> HttpError:
    scopes = " and ".join(key.scopes)
    challenge = b'Bearer realm="pilothouse", error="insufficient_scope"'
    message = f"This key is for {scopes} of {key.problem} and for nothing else."
    return HttpError(403, "forbidden", message, headers=((_CHALLENGE, challenge),))


def _too_often(bucket: Bucket, wait_s: float) -> HttpError:
    seconds = max(1, math.ceil(wait_s))
    message = (
        f"A replica answers {bucket.rate:g} requests a second to this key; "
        f"ask again in {seconds} s."
    )
    headers = ((b"retry-after", str(seconds).encode()),)
    return HttpError(429, "too_many_requests", message, headers=headers)
