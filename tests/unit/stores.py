"""Where the database of a test is: SQLite in its folder, unless somebody chooses otherwise.

``tests/contract/on_postgresql`` does, and runs the same tests once more.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from core.settings import Settings


def sqlite_in(folder: Path) -> str:
    """Address of the database of an installation whose home this is."""
    return Settings(home=folder).database_address


#: How a folder becomes an address; the same one each time.
choice: Callable[[Path], str] = sqlite_in


def address_in(folder: Path) -> str:
    """Address of the database that belongs to a folder."""
    return choice(folder)
