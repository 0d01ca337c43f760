"""Keys of an installation: random bytes in files that only their owner may read."""

from __future__ import annotations

import secrets
from pathlib import Path

from core.errors import SetupError
from core.kept_files import keep_secret

KEY_BYTES = 32


def load_secret(path: Path) -> bytes:
    """Reads a key; where there is none yet, makes it. Whoever asks at once gets the same.

    Raises:
        SetupError: it cannot be read or made, or is shorter than 32 bytes.
    """
    try:
        key = keep_secret(path, lambda: secrets.token_bytes(KEY_BYTES))
    except OSError as exc:
        raise SetupError(
            f"The key {path} cannot be read or made ({exc.strerror}).",
            fix="Check its path and rights.",
        ) from exc
    if len(key) < KEY_BYTES:
        raise SetupError(
            f"The key {path} has {len(key)} bytes.",
            fix="Delete it; another one is made, and people sign in again.",
        )
    return key
