"""Puts PostgreSQL where tests of tests/unit have SQLite."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.postgres import PostgresServer
from tests.unit import stores


@pytest.fixture(autouse=True)
def _in_postgresql(postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A database of its own for each folder that a test asks for."""
    made: dict[Path, str] = {}

    def address_in(folder: Path) -> str:
        if folder not in made:
            made[folder] = postgres.lend()
        return made[folder]

    monkeypatch.setattr(stores, "choice", address_in)
    yield
    for address in made.values():
        postgres.take_back(address)
