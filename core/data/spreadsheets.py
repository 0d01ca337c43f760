"""What a CSV file must not hold, because a spreadsheet would run it."""

from __future__ import annotations

#: How a cell begins that a spreadsheet reads as a formula (OWASP, "CSV Injection").
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def harmless(value: object) -> object:
    """A cell's value; text that would be a formula gets an apostrophe, numbers do not."""
    if not isinstance(value, str) or not value.startswith(FORMULA):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value
