"""Whether the audit trail is what was written, and which rows are not.

Each row's hash covers its number, its content and the hash of the row before, under a key
(``core.promotion.audit``). Without the key nobody can make a hash that fits, so

- a row whose hash fits at its own number is what was written there;
- one whose hash fits at another number was moved, or is a copy;
- one whose hash fits nowhere was edited or invented;
- a number that no row has is a row that was removed.

Rows that were cut off at the end leave nothing behind. They are found by the anchor: the
number and hash of the newest row, kept outside the database and sealed under the key.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from core.promotion.audit import GENESIS, AuditRow, row_hash


class Kind(StrEnum):
    """What is wrong."""

    EDITED = "edited"
    COPIED = "copied"
    MOVED = "moved"
    REMOVED = "removed"
    UNLINKED = "unlinked"
    CUT_OFF = "cut off"
    FOREIGN_KEY = "foreign key"
    ANCHOR_MISSING = "anchor missing"
    ANCHOR_FORGED = "anchor forged"


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with the trail."""

    kind: Kind
    #: The row that it is about, the first of several; ``None`` where it is about the anchor.
    sequence: int | None
    text: str


@dataclass(frozen=True)
class Anchor:
    """The newest row as it was known outside the database."""

    #: 0 before the first row.
    sequence: int
    hash: str


#: Numbers that are tried for rows without a neighbour: about a second.
_MOST_TRIES = 100_000
#: What stands in an anchor before the first row.
BEGINNING = Anchor(0, GENESIS)


def seal(key: bytes, anchor: Anchor) -> str:
    """The text of an anchor: one line of JSON with an HMAC-SHA-256 over number and hash."""
    values = {"sequence": anchor.sequence, "hash": anchor.hash}
    return json.dumps({**values, "seal": _seal(key, anchor)}) + "\n"


def open_anchor(key: bytes, text: str) -> Anchor | None:
    """The anchor in a text; ``None`` if it was not sealed under this key."""
    try:
        read = json.loads(text)
        anchor = Anchor(int(read["sequence"]), str(read["hash"]))
        fits = hmac.compare_digest(str(read["seal"]).encode(), _seal(key, anchor).encode())
    except (ValueError, TypeError, KeyError):
        return None
    return anchor if fits else None


def _seal(key: bytes, anchor: Anchor) -> str:
    # Another text than that of a row, so that no row's hash is ever a seal.
    text = f"anchor {anchor.sequence} {anchor.hash}"
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def verify(rows: Sequence[AuditRow], key: bytes, anchor: str | None) -> tuple[Finding, ...]:
    """Returns everything that is wrong with a trail; nothing if it is whole.

    Args:
        rows: all rows, in any order.
        key: what the rows should have been written under.
        anchor: text of the anchor, read before the rows were; ``None`` if there is none. Rows
            after it are verified by the chain alone: a process that dies between writing a
            row and moving the anchor leaves the trail ahead, which is no fault.
    """
    ordered = sorted(rows, key=lambda row: row.sequence)
    opened = None if anchor is None else open_anchor(key, anchor)
    places = _places(ordered, key)
    found = list(_about_anchor(anchor, opened))
    if ordered and not places and opened is None:
        first, last = ordered[0].sequence, ordered[-1].sequence
        text = f"No row from {first} to {last} was written under this key."
        return (*found, Finding(Kind.FOREIGN_KEY, first, text))
    found += _about_rows(ordered, places)
    found += _about_links(ordered, places)
    found += _about_gaps(ordered, places, opened)
    if opened is not None:
        found += _about_end(ordered, places, opened)
    return tuple(sorted(found, key=lambda one: (one.sequence is not None, one.sequence or 0)))


def _places(ordered: Sequence[AuditRow], key: bytes) -> Mapping[int, int]:
    """Number of each row -> the number that its hash fits; rows that fit nowhere are left out.

    Where a row does not fit at its own number, its neighbours by hash tell where it was: it
    came after the row whose hash it carries and before the one that carries its own. Without
    a neighbour, numbers are tried from its own outwards, within a budget.
    """
    followers, by_hash = defaultdict(list), defaultdict(list)
    for row in ordered:
        followers[row.previous].append(row)
        by_hash[row.hash].append(row)
    places: dict[int, int] = {}

    def settle(row: AuditRow, place: int) -> bool:
        """Notes a place that fits, and with it those of the rows before and after."""
        waiting = [(row, place)]
        while waiting:
            one, number = waiting.pop()
            if one.sequence in places or number < 1 or not _fits(one, number, key):
                continue
            places[one.sequence] = number
            waiting += [(other, number + 1) for other in followers[one.hash]]
            waiting += [(other, number - 1) for other in by_hash[one.previous]]
        return row.sequence in places

    for row in ordered:
        settle(row, row.sequence)
    for row in followers[GENESIS]:
        settle(row, 1)
    tries = _MOST_TRIES
    for row in ordered:
        guesses = _outwards(row.sequence, len(ordered))
        while row.sequence not in places and tries > 0:
            guess = next(guesses, None)
            if guess is None or settle(row, guess):
                break
            tries -= 1
    return places


def _outwards(number: int, furthest: int) -> Iterator[int]:
    """Numbers ever further from a number."""
    for step in range(1, furthest + 1):
        yield number + step
        yield number - step


def _fits(row: AuditRow, sequence: int, key: bytes) -> bool:
    made = row_hash(key, sequence, row.entry, row.previous)
    return hmac.compare_digest(made.encode(), row.hash.encode(errors="replace"))


def _about_anchor(anchor: str | None, opened: Anchor | None) -> Iterator[Finding]:
    if anchor is None:
        yield Finding(
            Kind.ANCHOR_MISSING, None, "The anchor is missing, so a cut-off end would not show."
        )
    elif opened is None:
        yield Finding(
            Kind.ANCHOR_FORGED,
            None,
            "The anchor was not written under this key, so a cut-off end would not show.",
        )


def _about_rows(ordered: Sequence[AuditRow], places: Mapping[int, int]) -> Iterator[Finding]:
    for row in ordered:
        here, place = row.sequence, places.get(row.sequence)
        if place is None:
            text = f"Row {here} is not what was written: it was edited or put in later."
            yield Finding(Kind.EDITED, here, text)
        elif place != here and places.get(place) == place:
            yield Finding(Kind.COPIED, here, f"Row {here} is a copy of row {place}.")
        elif place != here:
            text = f"Row {here} was moved: it was written as row {place}."
            yield Finding(Kind.MOVED, here, text)


def _about_links(ordered: Sequence[AuditRow], places: Mapping[int, int]) -> Iterator[Finding]:
    """Two rows that are each as written, but of two histories: a copy of the database went on."""
    intact = {row.sequence: row for row in ordered if places.get(row.sequence) == row.sequence}
    for here, row in intact.items():
        before = intact.get(here - 1)
        if before is not None and row.previous != before.hash:
            text = f"Row {here} does not follow the row {here - 1} that is there."
            yield Finding(Kind.UNLINKED, here, text)
        elif here == 1 and row.previous != GENESIS:
            yield Finding(Kind.UNLINKED, 1, "Row 1 was not written as the first row.")


def _about_gaps(
    ordered: Sequence[AuditRow], places: Mapping[int, int], anchor: Anchor | None
) -> Iterator[Finding]:
    """Numbers at which nothing stands that was written there, up to the last one known."""
    known = {0, *places.values()}
    end = max(*known, anchor.sequence if anchor else 0)
    # An edited row stands for what was there; one beyond the end stands for nothing.
    edited = {one.sequence for one in ordered if one.sequence not in places}
    there = {number for number in known | edited if 0 < number <= end}
    last_there, before = max(there, default=0), 0
    for number in [*sorted(there), end + 1]:
        first, last, before = before + 1, number - 1, number
        if first > last:
            continue
        if first > last_there:
            yield Finding(
                Kind.CUT_OFF, first, f"{_named(first, last)} cut off: the anchor goes to {last}."
            )
        else:
            yield Finding(Kind.REMOVED, first, f"{_named(first, last)} removed.")


def _about_end(
    ordered: Sequence[AuditRow], places: Mapping[int, int], anchor: Anchor
) -> Iterator[Finding]:
    """A tail that was cut and grew again has another row where the anchor points."""
    for row in ordered:
        here = row.sequence
        is_intact = places.get(here) == here
        if is_intact and here == anchor.sequence and row.hash != anchor.hash:
            text = f"Row {here} is not the one that the anchor names: the end was cut off there."
            yield Finding(Kind.CUT_OFF, here, text)


def _named(first: int, last: int) -> str:
    return f"Row {first} was" if first == last else f"Rows {first} to {last} were"
