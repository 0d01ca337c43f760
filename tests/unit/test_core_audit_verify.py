"""What somebody does to the audit trail in the database is found, and the row is named."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.adapters.database import Database
from core.adapters.database_audit import AuditRecords
from core.promotion.audit import GENESIS, Action, AuditRow
from core.promotion.audit_files import AnchorFile
from core.promotion.audit_verify import Anchor, Finding, Kind, open_anchor, seal, verify
from core.promotion.trail import AuditTrail
from core.settings import Settings
from tests.unit.app_audit_fakes import KEY, make_rows
from tests.unit.core_fakes import make_trail
from tests.unit.stores import address_in

ROWS = 8


@dataclass(frozen=True)
class Shop:
    """A trail of eight rows in a real SQLite database, and the way past it."""

    home: Path
    database: Database
    trail: AuditTrail

    @property
    def settings(self) -> Settings:
        return Settings(home=self.home)

    def sql(self, *statements: str) -> None:
        with closing(sqlite3.connect(self.home / "pilothouse.db")) as connection, connection:
            for statement in statements:
                connection.execute(statement)

    def act(self, times: int) -> None:
        for _ in range(times):
            self.trail.record(Action.RUN_STARTED, actor="ann", object="run 1", problem="plums")

    def found(self) -> list[tuple[Kind, int | None]]:
        return [(one.kind, one.sequence) for one in self.trail.verify().findings]


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    database = Database(address_in(tmp_path))
    database.migrate()
    made = Shop(tmp_path, database, make_trail(database, tmp_path))
    made.act(ROWS)
    yield made
    database.close()


def test_a_trail_that_nobody_touched_is_whole(shop: Shop) -> None:
    found = shop.trail.verify()
    assert (found.is_whole, found.rows, found.anchored) == (True, ROWS, ROWS)


@pytest.mark.parametrize(
    "change",
    [
        "actor = 'eve'",
        "reason = 'because'",
        "at = '2026-01-01 00:00:00.000000'",
        "at = 'never'",
        "at = 7",
        "action = 'nothing at all'",
        "outcome = 'refused'",
        "detail = x'00ff'",
        "detail = CAST(x'ff' AS TEXT)",
        "problem = 'pears'",
        "role = 'auditor'",
        "object = 'run 2'",
        "request_id = 'r'",
        "previous = 'x'",
        "hash = 'ü'",
    ],
)
def test_an_edited_row_is_named(shop: Shop, change: str) -> None:
    shop.sql(f"UPDATE audit SET {change} WHERE sequence = 4")
    assert shop.found() == [(Kind.EDITED, 4)]
    assert len(shop.trail.list(None)) == ROWS


def test_every_edited_row_is_named(shop: Shop) -> None:
    shop.sql("UPDATE audit SET actor = 'eve' WHERE sequence IN (1, 3, 8)")
    assert shop.found() == [(Kind.EDITED, 1), (Kind.EDITED, 3), (Kind.EDITED, 8)]


@pytest.mark.parametrize(("gone", "named"), [("= 4", 4), ("= 1", 1), ("BETWEEN 3 AND 5", 3)])
def test_a_removed_row_is_named(shop: Shop, gone: str, named: int) -> None:
    shop.sql(f"DELETE FROM audit WHERE sequence {gone}")
    assert shop.found() == [(Kind.REMOVED, named)]


def test_a_gap_that_was_closed_is_seen(shop: Shop) -> None:
    shop.sql("DELETE FROM audit WHERE sequence IN (3, 4)")
    for place in range(5, ROWS + 1):
        shop.sql(f"UPDATE audit SET sequence = {place - 2} WHERE sequence = {place}")
    moved = [(Kind.MOVED, place) for place in range(3, ROWS - 1)]
    assert sorted(shop.found()) == sorted([(Kind.REMOVED, 3), *moved])
    (text,) = [one.text for one in shop.trail.verify().findings if one.sequence == 6]
    assert text == "Row 6 was moved: it was written as row 8."


def test_two_rows_that_changed_places_are_named(shop: Shop) -> None:
    shop.sql(
        "UPDATE audit SET sequence = 99 WHERE sequence = 3",
        "UPDATE audit SET sequence = 3 WHERE sequence = 6",
        "UPDATE audit SET sequence = 6 WHERE sequence = 99",
    )
    assert shop.found() == [(Kind.MOVED, 3), (Kind.MOVED, 6)]


def test_the_last_two_rows_changing_places_is_no_cut(shop: Shop) -> None:
    shop.sql(
        "UPDATE audit SET sequence = 99 WHERE sequence = 7",
        "UPDATE audit SET sequence = 7 WHERE sequence = 8",
        "UPDATE audit SET sequence = 8 WHERE sequence = 99",
    )
    assert shop.found() == [(Kind.MOVED, 7), (Kind.MOVED, 8)]


def test_a_trail_turned_round_is_told_row_by_row(shop: Shop) -> None:
    shop.sql(
        f"UPDATE audit SET sequence = sequence + 100 WHERE sequence <= {ROWS}",
        f"UPDATE audit SET sequence = {ROWS + 1} - (sequence - 100)",
    )
    assert shop.found() == [(Kind.MOVED, place) for place in range(1, ROWS + 1)]


_COPY = (
    "INSERT INTO audit SELECT {to}, at, actor, role, action, object, outcome, problem, reason, "
    "request_id, detail, previous, hash FROM audit WHERE sequence = {of}"
)


def test_a_copied_row_is_named(shop: Shop) -> None:
    shop.sql(_COPY.format(to=ROWS + 1, of=2))
    assert shop.found() == [(Kind.COPIED, ROWS + 1)]


def test_an_invented_row_is_named(shop: Shop) -> None:
    shop.sql(
        _COPY.format(to=ROWS + 1, of=ROWS),
        f"UPDATE audit SET actor = 'eve', previous = hash WHERE sequence = {ROWS + 1}",
    )
    assert shop.found() == [(Kind.EDITED, ROWS + 1)]
    shop.sql(f"UPDATE audit SET sequence = -3 WHERE sequence = {ROWS + 1}")
    assert shop.found() == [(Kind.EDITED, -3)]
    shop.sql("UPDATE audit SET sequence = 99999999999 WHERE sequence = -3")
    assert shop.found() == [(Kind.EDITED, 99999999999)]


@pytest.mark.parametrize("kept", [0, 1, 5, 7])
def test_a_cut_off_end_is_found_by_the_anchor(shop: Shop, kept: int) -> None:
    shop.sql(f"DELETE FROM audit WHERE sequence > {kept}")
    assert shop.found() == [(Kind.CUT_OFF, kept + 1)]


def test_an_end_that_grew_again_is_found(shop: Shop) -> None:
    shop.sql("DELETE FROM audit WHERE sequence > 5")
    shop.act(1)
    assert shop.found() == [(Kind.CUT_OFF, 7)]
    shop.act(2)
    assert shop.found() == [(Kind.CUT_OFF, ROWS)]
    shop.act(5)
    # The anchor stays where it was, so the cut stays to be seen.
    assert shop.found() == [(Kind.CUT_OFF, ROWS)]


def test_a_missing_anchor_is_found_and_not_made_anew(shop: Shop) -> None:
    shop.settings.audit_anchor.unlink()
    shop.act(1)
    make_trail(shop.database, shop.home)
    assert shop.found() == [(Kind.ANCHOR_MISSING, None)]


def test_wiping_rows_and_anchor_is_found(shop: Shop) -> None:
    shop.sql("DELETE FROM audit")
    shop.settings.audit_anchor.unlink()
    assert make_trail(shop.database, shop.home).verify().findings[0].kind is Kind.ANCHOR_MISSING


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"sequence": null, "hash": 1, "seal": []}',
        seal(b"another key of thirty-two bytes!", Anchor(3, "x")),
    ],
)
def test_a_forged_anchor_is_found_and_kept(shop: Shop, text: str) -> None:
    shop.sql("DELETE FROM audit WHERE sequence > 3")
    shop.settings.audit_anchor.write_text(text, encoding="utf-8")
    shop.act(1)
    assert shop.found() == [(Kind.ANCHOR_FORGED, None)]
    assert shop.settings.audit_anchor.read_text(encoding="utf-8") == text


def test_an_older_anchor_of_ours_is_no_fault(shop: Shop) -> None:
    older = shop.settings.audit_anchor.read_text(encoding="utf-8")
    shop.act(2)
    shop.settings.audit_anchor.write_text(older, encoding="utf-8")
    found = shop.trail.verify()
    assert (found.is_whole, found.anchored) == (True, ROWS)


def test_rows_of_another_key_are_told_as_such(shop: Shop) -> None:
    shop.settings.audit_key.write_bytes(b"another key of thirty-two bytes!")
    other = make_trail(shop.database, shop.home)
    kinds = [(one.kind, one.sequence) for one in other.verify().findings]
    assert kinds == [(Kind.ANCHOR_FORGED, None), (Kind.FOREIGN_KEY, 1)]


def test_one_row_of_another_key_is_named(shop: Shop) -> None:
    stranger = AuditRecords(shop.database, b"another key of thirty-two bytes!")
    stranger.append(shop.trail.entry(Action.PROMOTED, actor="eve", object="plums v9"))
    shop.act(1)
    assert shop.found() == [(Kind.EDITED, ROWS + 1)]


def test_two_histories_under_one_key_do_not_pass_as_one() -> None:
    first, second = make_rows(6), make_rows(12)[:6]
    other = list(make_rows(3))
    changed = [*other[:2], *_chain_on(other[1], 4)]
    mixed = [*first[:4], *changed[4:]]
    findings = verify(mixed, KEY, seal(KEY, Anchor(6, mixed[-1].hash)))
    assert [(one.kind, one.sequence) for one in findings] == [(Kind.UNLINKED, 5)]
    assert verify(second, KEY, seal(KEY, Anchor(6, second[-1].hash))) == ()


def _chain_on(last: AuditRow, number: int) -> Iterator[AuditRow]:
    from dataclasses import replace

    from core.promotion.audit import link

    for place in range(number):
        last = link(KEY, replace(last.entry, reason=f"other {place}"), last)
        yield last


def test_an_anchor_is_only_opened_under_its_key() -> None:
    anchor = Anchor(7, "ab")
    assert open_anchor(KEY, seal(KEY, anchor)) == anchor
    assert open_anchor(b"other" * 8, seal(KEY, anchor)) is None
    assert open_anchor(KEY, seal(KEY, anchor).replace("7", "6")) is None
    assert open_anchor(KEY, seal(KEY, Anchor(0, GENESIS))) == Anchor(0, GENESIS)


CHAIN = make_rows(9)
ANCHOR = seal(KEY, Anchor(9, CHAIN[-1].hash))
_Damage = Callable[[list[AuditRow]], None]


@settings(max_examples=100, deadline=None)
@given(st.permutations(range(1, 10)), st.sets(st.integers(1, 9)))
def test_whatever_is_removed_or_moved_is_told(order: list[int], removed: set[int]) -> None:
    from dataclasses import replace

    kept = [
        replace(row, sequence=order[row.sequence - 1])
        for row in CHAIN
        if row.sequence not in removed
    ]
    findings = verify(kept, KEY, ANCHOR)
    moved = {place for place in range(1, 10) if order[place - 1] != place and place not in removed}
    assert {one.sequence for one in findings if one.kind is Kind.MOVED} == {
        order[place - 1] for place in moved
    }
    assert _numbers(findings, Kind.REMOVED, Kind.CUT_OFF) == removed


def _numbers(findings: tuple[Finding, ...], *kinds: Kind) -> set[int]:
    """The rows that findings of a kind name, ranges written out."""
    named: set[int] = set()
    for one in findings:
        if one.kind in kinds:
            words = [int(word) for word in one.text.split() if word.isdigit()]
            named |= (
                {words[0]} if one.text.startswith("Row ") else set(range(words[0], words[1] + 1))
            )
    return named


def test_the_file_of_an_anchor_is_ours_alone(shop: Shop) -> None:
    path = shop.settings.audit_anchor
    assert path.stat().st_mode & 0o777 == 0o600
    assert AnchorFile(path, b"x" * 32).read() is None
