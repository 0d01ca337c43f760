"""The token by which Ray knows our own processes."""

from __future__ import annotations

import secrets
from collections.abc import Generator
from pathlib import Path

import httpx

from core.errors import SetupError
from core.kept_files import keep_secret

TOKEN_BYTES = 32


def keep_token(file: Path) -> None:
    """Makes the token where there is none yet; readable by this user alone.

    Raises:
        SetupError: it cannot be made, or others may read the one that is there.
    """
    try:
        keep_secret(file, lambda: secrets.token_hex(TOKEN_BYTES).encode())
        open_to_others = file.stat().st_mode & 0o077
    except OSError as exc:
        raise SetupError(
            f"Ray's token cannot be kept in {file} ({exc.strerror}).",
            fix="Check the rights of that folder.",
        ) from exc
    if open_to_others:
        raise SetupError(
            f"Others may read Ray's token in {file}.",
            fix="Remove that file and start again; the next start makes another token.",
        )


class TokenFromFile(httpx.Auth):
    """Sends the token of ``file``, read anew each time: the first start makes it.

    Without a file, or before it is there, nothing is sent.
    """

    def __init__(self, file: Path | None) -> None:
        self._file = file

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response]:
        """Called by httpx with each request."""
        try:
            token = self._file.read_text(encoding="ascii").strip() if self._file else ""
        except OSError:
            token = ""
        if token:
            request.headers["Authorization"] = f"Bearer {token}"
        yield request
