"""Under which names the panel may be asked for."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit


def is_named(host: str, names: Sequence[str]) -> bool:
    """Whether a Host header is one of these names; ``*`` is any.

    A page elsewhere can point a name of its own at the panel's address. The browser then takes
    both for one place, but still says the name.
    """
    if "*" in names:
        return True
    try:
        name = urlsplit(f"//{host}").hostname
    except ValueError:
        return False
    plain = [one.strip("[]").lower() for one in names]
    return name is not None and name.rstrip(".") in plain


def local_path(wanted: str) -> str:
    """A path of the panel as it was asked for; ``/`` for whatever would lead elsewhere."""
    try:
        parts = urlsplit(wanted)
    except ValueError:
        return "/"
    is_plain = wanted.isprintable() and "\\" not in wanted and not wanted.startswith("//")
    return wanted if is_plain and not parts.netloc and wanted.startswith("/") else "/"
