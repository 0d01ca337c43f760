"""What a key of the served models is; pure values.

A key is ``ph_<id>_<secret>``: the prefix lets secret scanners know it, the id is what people
and records call it, the secret is 256 random bits in hex. Only the SHA-256 of the whole is
kept. A slow hash would add nothing, since nobody can try so many secrets.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

PREFIX = "ph_"
_ID_BYTES = 6
_SECRET_BYTES = 32


class Scope(StrEnum):
    """What a key may be used for."""

    PREDICT = "predict"
    LABELS = "labels"


@dataclass(frozen=True)
class ServingKey:
    """A key as it is kept and shown: everything but the secret."""

    id: str
    problem: str
    #: What people call it, such as the caller that holds it.
    name: str
    scopes: tuple[Scope, ...]
    created_at: datetime
    created_by: str
    expires_at: datetime | None = None
    #: In place of ``serving.limits.requests_per_second``.
    requests_per_second: float | None = None
    revoked_at: datetime | None = None
    revoked_by: str | None = None
    #: Some seconds behind.
    last_used_at: datetime | None = None

    def opens(self, now: datetime) -> bool:
        """Whether the served models take it: neither revoked nor expired."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


@dataclass(frozen=True)
class NewKey:
    """A key that was just made. Nobody can show ``token`` again."""

    key: ServingKey
    token: str = field(repr=False)


def draw_id() -> str:
    """An id for a new key: 12 hexadecimal digits."""
    return secrets.token_hex(_ID_BYTES)


def draw_token(key_id: str) -> str:
    """A whole new key under an id."""
    return f"{PREFIX}{key_id}_{secrets.token_hex(_SECRET_BYTES)}"


def digest_of(token: str) -> str:
    """SHA-256 of a whole key, in hex."""
    return hashlib.sha256(token.encode()).hexdigest()
