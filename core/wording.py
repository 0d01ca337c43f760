"""Numbers as people read them, in the panel and on the command line."""

from __future__ import annotations


def count(amount: int, noun: str) -> str:
    """``1 run``, ``2 runs``, ``1,200 rows``."""
    return f"{amount:,} {noun}{'' if amount == 1 else 's'}"


def signed(value: float, digits: int = 3) -> str:
    """A difference with its sign, a true minus for less."""
    return f"{value:+.{digits}f}".replace("-", "−")
