"""Secrets among the settings: given as they are, or in a file."""

from __future__ import annotations

from pathlib import Path

from pydantic import SecretStr

from core.errors import SetupError


def read_secret(name: str, given: SecretStr, file: str) -> str:
    """A secret setting, from its file where one is named; empty where it is not given.

    Args:
        name: of the variable, without its prefix.
        given: the variable's own value.
        file: what ``<name>_FILE`` says.

    Raises:
        SetupError: the file cannot be read.
    """
    if not file:
        return given.get_secret_value().strip()
    try:
        return Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as exc:
        raise SetupError(
            f"The file {file} of PILOTHOUSE_{name}_FILE cannot be read.",
            fix="Check its path and rights, or unset the variable.",
        ) from exc
