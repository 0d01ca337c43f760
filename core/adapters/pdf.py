"""Documents as PDF, by ReportLab: pure Python, no system library, no browser.

ADR 23 says why this library and these fonts.
"""

from __future__ import annotations

import io

from reportlab.lib import colors
from reportlab.lib.styles import ParagraphStyle
from reportlab.pdfbase.pdfmetrics import stringWidth
from reportlab.platypus import CondPageBreak, Flowable, Paragraph, Spacer
from reportlab.platypus import Table as VendorTable

from core.adapters.pdf_page import (
    BOLD,
    CELL_SIZE,
    LEAST_BELOW_HEADING,
    LINE,
    USABLE_WIDTH,
    marked,
    new_template,
    number_page,
    page_styles,
    register_fonts,
)
from core.promotion.document import Document, Section, Table, Text, Tone

_TONES = {Tone.GOOD: "#0A7D4F", Tone.BAD: "#B3261E", Tone.UNSURE: "#93580A"}
_GAP = 7


def render_pdf(document: Document) -> bytes:
    """The document on A4 pages; equal documents, equal bytes."""
    register_fonts()
    styles = page_styles()
    story: list[Flowable] = [
        Paragraph(marked(document.title), styles["title"]),
        Paragraph(marked(document.lead), styles["note"]),
    ]
    for section in document.sections:
        story += _section(section, styles)
    out = io.BytesIO()
    template = new_template(out, document.title)
    template.build(story, onFirstPage=number_page, onLaterPages=number_page)
    return out.getvalue()


def _section(section: Section, styles: dict[str, ParagraphStyle]) -> list[Flowable]:
    # A heading does not stand alone at the end of a page.
    drawn: list[Flowable] = [
        CondPageBreak(LEAST_BELOW_HEADING),
        Paragraph(marked(section.title), styles["heading"]),
    ]
    for block in section.blocks:
        if isinstance(block, Table):
            drawn += _table(block, styles)
        else:
            drawn += [Paragraph(_coloured(block), styles["plain"]), Spacer(0, 3)]
    return drawn


def _table(table: Table, styles: dict[str, ParagraphStyle]) -> list[Flowable]:
    cell = styles["cell"]
    has_header = any(table.header)
    rows = [[Paragraph(f"<b>{marked(name)}</b>", cell) for name in table.header]] * has_header
    rows += [[Paragraph(_coloured(text), cell) for text in row] for row in table.rows]
    if not rows:
        return []
    drawn = VendorTable(
        rows,
        colWidths=_widths(table),
        repeatRows=int(has_header),
        hAlign="LEFT",
        style=[
            ("VALIGN", (0, 0), (-1, -1), "TOP"),
            ("LEFTPADDING", (0, 0), (-1, -1), 0),
            ("RIGHTPADDING", (0, 0), (-1, -1), _GAP - 1),
            ("TOPPADDING", (0, 0), (-1, -1), 2),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 3),
            ("LINEBELOW", (0, 0), (-1, -1), 0.4, colors.HexColor(LINE)),
        ],
    )
    note = [Paragraph(marked(table.note), styles["note"])] if table.note else []
    return [drawn, *note, Spacer(0, 4)]


def _widths(table: Table) -> list[float]:
    """The page's width, shared by the longest text of each column; words stay whole."""
    usable = USABLE_WIDTH
    columns = [
        [name, *(row[at].text for row in table.rows)] for at, name in enumerate(table.header)
    ]
    least = [min(max(map(_longest_word, texts)), usable / 3) for texts in columns]
    # A long sentence may break; its column need not have all of the page.
    wanted = [min(max(4, *map(len, texts)), 60) for texts in columns]
    # Hashes in every column may ask for more than there is; they are broken.
    spare = usable - sum(least)
    return [width + spare * wish / sum(wanted) for width, wish in zip(least, wanted, strict=True)]


def _longest_word(text: str) -> float:
    """Width of the longest word of a cell in bold, with the space to the next column."""
    words = text.split() or [""]
    return max(stringWidth(word, BOLD, CELL_SIZE) for word in words) + _GAP


def _coloured(text: Text) -> str:
    words = marked(text.text)
    colour = _TONES.get(text.tone)
    return f'<font color="{colour}"><b>{words}</b></font>' if colour else words
