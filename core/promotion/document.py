"""A page to take away, as a value: headings, sentences and tables; drawn as HTML and as PDF."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from core.domain import Verdict


class Tone(StrEnum):
    """How a text is meant; drawn as a colour, never as the only hint."""

    PLAIN = "plain"
    GOOD = "good"
    BAD = "bad"
    UNSURE = "unsure"


_TONES = {
    Verdict.PASS: Tone.GOOD,
    Verdict.FAIL: Tone.BAD,
    Verdict.CANNOT_TELL: Tone.UNSURE,
}


@dataclass(frozen=True)
class Text:
    """One sentence, or one cell of a table."""

    text: str
    tone: Tone = Tone.PLAIN


@dataclass(frozen=True)
class Table:
    """Rows under a header; every row has as many cells as the header."""

    header: tuple[str, ...]
    rows: tuple[tuple[Text, ...], ...]
    #: Below the table: what its numbers mean.
    note: str = ""


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it, in order."""

    title: str
    blocks: tuple[Text | Table, ...]


@dataclass(frozen=True)
class Document:
    """The whole page. ``lead`` stands below the title, in small print."""

    title: str
    lead: str
    sections: tuple[Section, ...] = field(default=())


def tone_of(verdict: Verdict | None) -> Tone:
    """How a text with this verdict is meant."""
    return Tone.PLAIN if verdict is None else _TONES[verdict]


def toned(verdict: Verdict) -> Text:
    """A verdict as a word in its colour."""
    return Text(verdict.value, tone_of(verdict))


def table(header: Sequence[str], rows: Sequence[Sequence[str | Text]], note: str = "") -> Table:
    """A table of texts, some of them toned.

    Raises:
        ValueError: a row has more or fewer cells than the header.
    """
    cells = tuple(
        tuple(cell if isinstance(cell, Text) else Text(cell) for cell in row) for row in rows
    )
    if any(len(row) != len(header) for row in cells):
        raise ValueError("a row and the header differ in length")
    return Table(tuple(header), cells, note)


def facts(rows: Sequence[tuple[str, str]]) -> Table:
    """Names with their values, without a header."""
    return table(("", ""), rows)
