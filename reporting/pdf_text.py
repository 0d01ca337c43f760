"""Text within a block of Markdown, for ReportLab; and how wide the columns of a table are."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from markdown_it.tree import SyntaxTreeNode
from reportlab.pdfbase.pdfmetrics import stringWidth

from core.adapters.pdf_page import BOLD, CELL_SIZE, MONO, USABLE_WIDTH, marked

_GAP = 8
#: A long sentence may break; its column need not have all of the page.
_MOST_LETTERS = 60
_LINK = "#1F5F8B"
_BREAKS = {"softbreak": " ", "hardbreak": "<br/>"}


def markup(node: SyntaxTreeNode) -> str:
    """What stands in a block, in ReportLab's own marks."""
    if node.type == "text":
        return marked(node.content)
    if node.type == "code_inline":
        return f'<font name="{MONO}">{escape(node.content)}</font>'
    if node.type in _BREAKS:
        return _BREAKS[node.type]
    inside = "".join(markup(child) for child in node.children)
    if node.type == "strong":
        return f"<b>{inside}</b>"
    if node.type == "link":
        target = str(node.attrs.get("href", ""))
        # A file of the repository does not lie beside a PDF that somebody was sent.
        if target.startswith(("https://", "http://")):
            return f'<a href="{escape(target)}" color="{_LINK}">{inside}</a>'
    return inside


def plain(node: SyntaxTreeNode) -> str:
    """What stands in a block, without marks."""
    if node.type in ("text", "code_inline"):
        return str(node.content)
    if node.type in _BREAKS:
        return " "
    return "".join(plain(child) for child in node.children)


def widths(rows: Sequence[Sequence[str]]) -> list[float]:
    """The page's width, shared by the longest text of each column; words stay whole."""
    columns = list(zip(*rows, strict=True))
    least = [min(max(map(_longest_word, texts)), USABLE_WIDTH / 3) for texts in columns]
    if sum(least) > USABLE_WIDTH:
        # Too many long words for one page: every column gives way alike, and words break.
        return [width * USABLE_WIDTH / sum(least) for width in least]
    wanted = [min(max(4, *map(len, texts)), _MOST_LETTERS) for texts in columns]
    spare = USABLE_WIDTH - sum(least)
    return [width + spare * wish / sum(wanted) for width, wish in zip(least, wanted, strict=True)]


def _longest_word(text: str) -> float:
    words = text.split() or [""]
    return max(stringWidth(word, BOLD, CELL_SIZE) for word in words) + _GAP
