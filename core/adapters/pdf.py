"""Documents as PDF, by ReportLab: pure Python, no system library, no browser.

ADR 23 says why this library and these fonts.
"""

from __future__ import annotations

import io
import unicodedata
from functools import cache
from html import escape
from itertools import groupby
from pathlib import Path

import matplotlib
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfbase.pdfmetrics import stringWidth
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import CondPageBreak, Flowable, Paragraph, SimpleDocTemplate, Spacer
from reportlab.platypus import Table as VendorTable

from core.promotion.document import Document, Section, Table, Text, Tone

_BODY, _BOLD = "PilothouseSans", "PilothouseSans-Bold"
#: Every PDF reader brings a font for these; they are named and not embedded.
_CHINESE_JAPANESE, _KOREAN = "STSong-Light", "HYSMyeongJo-Medium"
_MARGIN = 18 * mm
_INK, _SOFT, _LINE = colors.HexColor("#16242B"), colors.HexColor("#5A6772"), "#D5DEE3"
_TONES = {Tone.GOOD: "#0A7D4F", Tone.BAD: "#B3261E", Tone.UNSURE: "#93580A"}
_CELL_SIZE, _GAP = 8, 7
_LEAST_BELOW_HEADING = 28 * mm
#: Last of the letters that two bytes can name.
_MOST = 0xFFFF


def render_pdf(document: Document) -> bytes:
    """The document on A4 pages; equal documents, equal bytes."""
    _register_fonts()
    styles = _styles()
    story: list[Flowable] = [
        Paragraph(_marked(document.title), styles["title"]),
        Paragraph(_marked(document.lead), styles["note"]),
    ]
    for section in document.sections:
        story += _section(section, styles)
    out = io.BytesIO()
    template = SimpleDocTemplate(
        out,
        pagesize=A4,
        leftMargin=_MARGIN,
        rightMargin=_MARGIN,
        topMargin=_MARGIN,
        bottomMargin=_MARGIN,
        # Half a letter cannot be written.
        title=document.title.encode("utf-8", "replace").decode(),
        author="Pilothouse",
        lang="en",
        # Without the time of writing, so that equal documents are equal files.
        invariant=1,
    )
    template.build(story, onFirstPage=_number_page, onLaterPages=_number_page)
    return out.getvalue()


@cache
def _register_fonts() -> None:
    # DejaVu Sans comes with matplotlib and covers Latin, Greek, Cyrillic and mathematics.
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    pdfmetrics.registerFont(TTFont(_BODY, str(folder / "DejaVuSans.ttf")))
    pdfmetrics.registerFont(TTFont(_BOLD, str(folder / "DejaVuSans-Bold.ttf")))
    pdfmetrics.registerFontFamily(_BODY, normal=_BODY, bold=_BOLD, italic=_BODY, boldItalic=_BOLD)
    for name in (_CHINESE_JAPANESE, _KOREAN):
        pdfmetrics.registerFont(UnicodeCIDFont(name))


def _styles() -> dict[str, ParagraphStyle]:
    plain = ParagraphStyle("plain", fontName=_BODY, fontSize=9, leading=12.5, textColor=_INK)
    note = ParagraphStyle("note", plain, fontSize=7.5, leading=10.5, textColor=_SOFT, spaceBefore=3)
    return {
        "title": ParagraphStyle("title", plain, fontName=_BOLD, fontSize=17, leading=21),
        "heading": ParagraphStyle(
            "heading",
            plain,
            fontName=_BOLD,
            fontSize=11.5,
            leading=15,
            spaceBefore=12,
            spaceAfter=4,
        ),
        "plain": plain,
        # Identifiers and hashes have no spaces to break at.
        "cell": ParagraphStyle("cell", plain, fontSize=_CELL_SIZE, leading=10.5, splitLongWords=1),
        "note": note,
    }


def _section(section: Section, styles: dict[str, ParagraphStyle]) -> list[Flowable]:
    # A heading does not stand alone at the end of a page.
    drawn: list[Flowable] = [
        CondPageBreak(_LEAST_BELOW_HEADING),
        Paragraph(_marked(section.title), styles["heading"]),
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
    rows = [[Paragraph(f"<b>{_marked(name)}</b>", cell) for name in table.header]] * has_header
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
            ("LINEBELOW", (0, 0), (-1, -1), 0.4, colors.HexColor(_LINE)),
        ],
    )
    note = [Paragraph(_marked(table.note), styles["note"])] if table.note else []
    return [drawn, *note, Spacer(0, 4)]


def _widths(table: Table) -> list[float]:
    """The page's width, shared by the longest text of each column; words stay whole."""
    usable = A4[0] - 2 * _MARGIN
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
    return max(stringWidth(word, _BOLD, _CELL_SIZE) for word in words) + _GAP


def _coloured(text: Text) -> str:
    marked = _marked(text.text)
    colour = _TONES.get(text.tone)
    return f'<font color="{colour}"><b>{marked}</b></font>' if colour else marked


def _marked(text: str) -> str:
    """Text for ReportLab: escaped, each piece in a font that has its letters."""
    pieces = []
    for font, letters in groupby(text, key=_font_for):
        piece = "".join(letters)
        if font is None:
            pieces += [f"[U+{ord(letter):04X}]" for letter in piece]
        elif font == _BODY:
            pieces.append(escape(piece))
        else:
            pieces.append(f'<font name="{font}">{escape(piece)}</font>')
    return "".join(pieces)


def _font_for(letter: str) -> str | None:
    """The font that has a letter; ``None`` where no font of ours does."""
    if ord(letter) > _MOST:
        # ReportLab writes no map back to text for these, so that nobody could search for them.
        return None
    if ord(letter) in pdfmetrics.getFont(_BODY).face.charToGlyph or letter in "\n\t":
        return _BODY
    name = unicodedata.name(letter, "")
    if name.startswith("HANGUL"):
        return _KOREAN
    if name.startswith(("CJK", "HIRAGANA", "KATAKANA", "IDEOGRAPHIC", "FULLWIDTH")):
        return _CHINESE_JAPANESE
    return None


def _number_page(canvas: Canvas, template: SimpleDocTemplate) -> None:
    canvas.saveState()
    canvas.setFont(_BODY, 7)
    canvas.setFillColor(_SOFT)
    canvas.drawRightString(A4[0] - _MARGIN, 10 * mm, f"{template.page}")
    canvas.restoreState()
