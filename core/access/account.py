"""A person as an installation knows them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from core.access.roles import Role


class Source(StrEnum):
    """Where a person is known from."""

    ACCOUNT = "account"
    LOGIN = "login"


@dataclass(frozen=True)
class Account:
    """One person as this installation knows them."""

    name: str
    role: Role
    source: Source
    created_at: datetime
    created_by: str
    #: SHA-256 of the token in hex; ``None`` where there is none.
    token_sha256: str | None = None
    #: Who has seen the token when it was made; empty where there is none.
    token_issued_by: str = ""
    last_seen_at: datetime | None = None
    removed_at: datetime | None = None

    @property
    def is_active(self) -> bool:
        """Whether it may still be used."""
        return self.removed_at is None
