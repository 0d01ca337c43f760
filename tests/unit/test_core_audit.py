"""The audit trail: each row carries the one before, under a key."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from core.adapters.database import Database
from core.adapters.database_audit import AuditRecords
from core.promotion.audit import GENESIS, Action, AuditEntry, link, row_hash
from tests.unit.stores import address_in

KEY = b"k" * 32
ENTRY = AuditEntry(
    at=datetime(2026, 11, 21, 9, 30, tzinfo=UTC),
    actor="ann",
    role="local operator",
    action=Action.RUN_STARTED,
    object="run 3f2a",
    problem="plums",
)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(address_in(tmp_path))
    made.migrate()
    yield made
    made.close()


def test_rows_are_numbered_and_chained(database: Database) -> None:
    records = AuditRecords(database, KEY)
    first, second = records.append(ENTRY), records.append(replace(ENTRY, actor="ben"))
    assert (first.sequence, first.previous) == (1, GENESIS)
    assert (second.sequence, second.previous) == (2, first.hash)
    assert records.list(10) == (second, first)


@pytest.mark.parametrize(
    "changed",
    [
        {"actor": "eve"},
        {"reason": "another"},
        {"at": datetime(2026, 11, 21, 9, 31, tzinfo=UTC)},
    ],
)
def test_the_hash_covers_what_is_kept(changed: dict[str, object]) -> None:
    row = link(KEY, ENTRY, None)
    assert row_hash(KEY, 1, replace(ENTRY, **changed), GENESIS) != row.hash
    assert row_hash(b"other" * 8, 1, ENTRY, GENESIS) != row.hash
    assert row_hash(KEY, 2, ENTRY, GENESIS) != row.hash


def test_an_entry_goes_with_what_it_tells_of(database: Database) -> None:
    records = AuditRecords(database, KEY)

    def act() -> None:
        with database.begin() as connection:
            records.append_in(connection, ENTRY)
            raise RuntimeError("the action failed")

    with pytest.raises(RuntimeError, match="the action failed"):
        act()
    assert records.list(10) == ()
