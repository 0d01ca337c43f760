"""How pages of a PDF look: fonts, styles, margins and page numbers, by ReportLab.

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
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import SimpleDocTemplate

BODY, BOLD, MONO = "PilothouseSans", "PilothouseSans-Bold", "PilothouseMono"
#: Every PDF reader brings a font for these; they are named and not embedded.
_CHINESE_JAPANESE, _KOREAN = "STSong-Light", "HYSMyeongJo-Medium"
MARGIN = 18 * mm
USABLE_WIDTH = A4[0] - 2 * MARGIN
INK, SOFT, LINE = colors.HexColor("#16242B"), colors.HexColor("#5A6772"), "#D5DEE3"
CELL_SIZE = 8
LEAST_BELOW_HEADING = 28 * mm
#: Last of the letters that two bytes can name.
_MOST = 0xFFFF


def new_template(
    out: io.BytesIO, title: str, kind: type[SimpleDocTemplate] = SimpleDocTemplate
) -> SimpleDocTemplate:
    """An A4 document that is written to ``out``; equal stories, equal bytes."""
    return kind(
        out,
        pagesize=A4,
        leftMargin=MARGIN,
        rightMargin=MARGIN,
        topMargin=MARGIN,
        bottomMargin=MARGIN,
        # Half a letter cannot be written.
        title=title.encode("utf-8", "replace").decode(),
        author="Pilothouse",
        lang="en",
        # Without the time of writing, so that equal documents are equal files.
        invariant=1,
    )


@cache
def register_fonts() -> None:
    """Makes the fonts known to ReportLab, once a process."""
    # DejaVu Sans comes with matplotlib and covers Latin, Greek, Cyrillic and mathematics.
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    pdfmetrics.registerFont(TTFont(BODY, str(folder / "DejaVuSans.ttf")))
    pdfmetrics.registerFont(TTFont(BOLD, str(folder / "DejaVuSans-Bold.ttf")))
    pdfmetrics.registerFont(TTFont(MONO, str(folder / "DejaVuSansMono.ttf")))
    pdfmetrics.registerFontFamily(BODY, normal=BODY, bold=BOLD, italic=BODY, boldItalic=BOLD)
    for name in (_CHINESE_JAPANESE, _KOREAN):
        pdfmetrics.registerFont(UnicodeCIDFont(name))


def page_styles() -> dict[str, ParagraphStyle]:
    """Styles by name: title, heading, plain, cell and note."""
    plain = ParagraphStyle("plain", fontName=BODY, fontSize=9, leading=12.5, textColor=INK)
    note = ParagraphStyle("note", plain, fontSize=7.5, leading=10.5, textColor=SOFT, spaceBefore=3)
    return {
        "title": ParagraphStyle("title", plain, fontName=BOLD, fontSize=17, leading=21),
        "heading": ParagraphStyle(
            "heading",
            plain,
            fontName=BOLD,
            fontSize=11.5,
            leading=15,
            spaceBefore=12,
            spaceAfter=4,
        ),
        "plain": plain,
        # Identifiers and hashes have no spaces to break at.
        "cell": ParagraphStyle("cell", plain, fontSize=CELL_SIZE, leading=10.5, splitLongWords=1),
        "note": note,
    }


def marked(text: str) -> str:
    """Text for ReportLab: escaped, each piece in a font that has its letters."""
    pieces = []
    for font, letters in groupby(text, key=_font_for):
        piece = "".join(letters)
        if font is None:
            pieces += [f"[U+{ord(letter):04X}]" for letter in piece]
        elif font == BODY:
            pieces.append(escape(piece))
        else:
            pieces.append(f'<font name="{font}">{escape(piece)}</font>')
    return "".join(pieces)


def _font_for(letter: str) -> str | None:
    """The font that has a letter; ``None`` where no font of ours does."""
    if ord(letter) > _MOST:
        # ReportLab writes no map back to text for these, so that nobody could search for them.
        return None
    if ord(letter) in pdfmetrics.getFont(BODY).face.charToGlyph or letter in "\n\t":
        return BODY
    name = unicodedata.name(letter, "")
    if name.startswith("HANGUL"):
        return _KOREAN
    if name.startswith(("CJK", "HIRAGANA", "KATAKANA", "IDEOGRAPHIC", "FULLWIDTH")):
        return _CHINESE_JAPANESE
    return None


def number_page(canvas: Canvas, template: SimpleDocTemplate) -> None:
    """Writes the page's number below it."""
    canvas.saveState()
    canvas.setFont(BODY, 7)
    canvas.setFillColor(SOFT)
    canvas.drawRightString(A4[0] - MARGIN, 10 * mm, f"{template.page}")
    canvas.restoreState()
