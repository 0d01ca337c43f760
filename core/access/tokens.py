"""Tokens that people sign in with: made once, kept only as their hash."""

from __future__ import annotations

import hashlib
import secrets

#: By it people and programs that look for leaked secrets know what they have found.
PREFIX = "phu_"
_BYTES = 32
_MARK_CHARS = 16


def new_token() -> str:
    """A token of 256 random bits."""
    return PREFIX + secrets.token_urlsafe(_BYTES)


def digest(token: str) -> str:
    """SHA-256 of a token, in hex.

    A token is random and long, so that a slow hash as for passwords would protect nothing
    more (NIST SP 800-63B, section 5.1.2: look-up secrets of at least 112 bits).
    """
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def mark_of(token_sha256: str) -> str:
    """A short sign of which token it was, from its hash; it opens nothing."""
    return hashlib.sha256(f"mark {token_sha256}".encode()).hexdigest()[:_MARK_CHARS]
