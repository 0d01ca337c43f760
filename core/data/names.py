"""Names that somebody else chose, as one line of text: they are shown and never are a path."""

from __future__ import annotations

import unicodedata

_LONGEST = 200


def shown_name(name: str, longest: int = _LONGEST) -> str:
    """A name for people: one line of text that can be stored, logged and printed.

    What could break the line or turn its direction is replaced: Unicode's categories of
    control, format and unassigned signs (C) and its separators of lines and paragraphs.
    """
    storable = name[: 4 * longest].encode("utf-8", "replace").decode("utf-8")
    printed = "".join("�" if _breaks_out(sign) else sign for sign in storable)
    return printed.strip()[:longest] or "without a name"


def _breaks_out(sign: str) -> bool:
    kind = unicodedata.category(sign)
    return kind.startswith("C") or kind in ("Zl", "Zp")
