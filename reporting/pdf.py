"""A page of Markdown as PDF: markdown-it reads it, ReportLab draws it. ADR 42 says why."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode
from reportlab.lib import colors
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.utils import ImageReader
from reportlab.platypus import (
    CondPageBreak,
    Flowable,
    Image,
    ListFlowable,
    ListItem,
    Paragraph,
    SimpleDocTemplate,
    Spacer,
    XPreformatted,
)
from reportlab.platypus import Table as VendorTable

from core.adapters.pdf_page import (
    BOLD,
    INK,
    LEAST_BELOW_HEADING,
    LINE,
    MONO,
    USABLE_WIDTH,
    marked,
    new_template,
    number_page,
    page_styles,
    register_fonts,
)
from core.errors import InvalidInputError
from reporting.pdf_text import markup, plain, widths

_HEADING_SIZES = {1: 18.0, 2: 13.0, 3: 10.5, 4: 9.5}
#: Points per pixel of a picture that is narrower than the page.
_SCALE = 0.55
_PREFIX = "heading-"


def render_page(text: str, folder: Path, diagram: str) -> bytes:
    """The page on A4; equal pages and pictures, equal bytes.

    Args:
        text: Markdown with tables. HTML in it, such as marks in comments, is left out.
        folder: where its pictures lie.
        diagram: picture, below ``folder``, that stands in for a fence of Mermaid.

    Raises:
        InvalidInputError: a picture is not there, or the page has something that is not drawn.
    """
    register_fonts()
    root = SyntaxTreeNode(MarkdownIt("commonmark").enable("table").parse(text))
    drawing = _Drawing(folder, diagram)
    story = [flowable for node in root.children for flowable in drawing.block(node)]
    out = io.BytesIO()
    template = new_template(out, drawing.title, _WithOutline)
    template.build(story, onFirstPage=number_page, onLaterPages=number_page)
    return out.getvalue()


class _WithOutline(SimpleDocTemplate):
    """Puts every heading into the outline that PDF readers show beside the pages."""

    def afterFlowable(self, flowable: Flowable) -> None:
        """Is called after each drawn piece."""
        name = getattr(getattr(flowable, "style", None), "name", "")
        if not name.startswith(_PREFIX):
            return
        level = int(name.removeprefix(_PREFIX))
        words = flowable.getPlainText()
        key = f"{self.page}-{words}"
        self.canv.bookmarkPage(key)
        # The title is the document; what is deeper than the next two levels is not listed.
        if 2 <= level <= 3:
            self.canv.addOutlineEntry(words, key, level=level - 2, closed=level == 2)


class _Drawing:
    """Draws blocks, one kind a method."""

    def __init__(self, folder: Path, diagram: str) -> None:
        self._folder = folder
        self._diagram = diagram
        self._styles = page_styles()
        body = self._styles["plain"]
        self._body = ParagraphStyle("body", body, spaceAfter=5)
        self._code = ParagraphStyle("code", body, fontName=MONO, fontSize=7.5, leading=10)
        self._headings = {
            level: ParagraphStyle(
                f"{_PREFIX}{level}",
                body,
                fontName=BOLD,
                fontSize=size,
                leading=size * 1.3,
                spaceBefore=size * 0.9,
                spaceAfter=4,
                # Nor does it stand alone when a picture or a short table goes to the next page.
                keepWithNext=1,
            )
            for level, size in _HEADING_SIZES.items()
        }
        self.title = ""

    def block(self, node: SyntaxTreeNode) -> Iterator[Flowable]:
        """What one block becomes."""
        match node.type:
            case "heading":
                yield from self._heading(node)
            case "paragraph":
                yield from self._paragraph(node)
            case "bullet_list" | "ordered_list":
                yield self._list(node)
            case "blockquote":
                for child in node.children:
                    yield from self.block(child)
            case "fence" | "code_block":
                yield from self._fence(node)
            case "table":
                yield from self._table(node)
            case "html_block" | "hr":
                return
            case strange:
                raise InvalidInputError(f"The page has a {strange}, which is not drawn in the PDF.")

    def _heading(self, node: SyntaxTreeNode) -> Iterator[Flowable]:
        level = min(int(node.tag[1:]), max(_HEADING_SIZES))
        self.title = self.title or plain(node)
        # A heading does not stand alone at the end of a page.
        yield CondPageBreak(LEAST_BELOW_HEADING)
        yield Paragraph(markup(node), self._headings[level])

    def _paragraph(self, node: SyntaxTreeNode) -> Iterator[Flowable]:
        pictures = [part for part in node.walk() if part.type == "image"]
        if not pictures:
            yield Paragraph(markup(node), self._body)
        for picture in pictures:
            yield from self._picture(str(picture.attrs["src"]), picture.content)

    def _picture(self, source: str, words: str) -> Iterator[Flowable]:
        path = self._folder / source
        if not path.is_file():
            raise InvalidInputError(
                f"The picture {source} is not there.", fix="Call `make report`."
            )
        width, height = ImageReader(str(path)).getSize()
        scale = min(_SCALE, USABLE_WIDTH / width)
        image = Image(str(path), width=width * scale, height=height * scale, hAlign="LEFT")
        image.spaceBefore = 4
        # Its words stay with it.
        image.keepWithNext = 1
        yield image
        yield Paragraph(marked(words), self._styles["note"])
        yield Spacer(0, 6)

    def _list(self, node: SyntaxTreeNode) -> Flowable:
        items = [
            ListItem([part for child in item.children for part in self.block(child)])
            for item in node.children
        ]
        is_ordered = node.type == "ordered_list"
        return ListFlowable(
            items,
            bulletType="1" if is_ordered else "bullet",
            start=None if is_ordered else "•",
            bulletFontSize=8,
            bulletColor=INK,
            leftIndent=14,
        )

    def _fence(self, node: SyntaxTreeNode) -> Iterator[Flowable]:
        if node.info.strip() == "mermaid":
            yield from self._picture(self._diagram, "Architecture")
            return
        lines = "\n".join(marked(line) for line in node.content.rstrip("\n").split("\n"))
        yield XPreformatted(lines, self._code)
        yield Spacer(0, 6)

    def _table(self, node: SyntaxTreeNode) -> Iterator[Flowable]:
        cells = [row.children for part in node.children for row in part.children]
        cell = self._styles["cell"]
        rows = [
            [Paragraph(f"<b>{markup(c)}</b>" if c.type == "th" else markup(c), cell) for c in row]
            for row in cells
        ]
        yield VendorTable(
            rows,
            colWidths=widths([[plain(c) for c in row] for row in cells]),
            repeatRows=1,
            hAlign="LEFT",
            style=[
                ("VALIGN", (0, 0), (-1, -1), "TOP"),
                ("LEFTPADDING", (0, 0), (-1, -1), 0),
                ("RIGHTPADDING", (0, 0), (-1, -1), 6),
                ("TOPPADDING", (0, 0), (-1, -1), 2),
                ("BOTTOMPADDING", (0, 0), (-1, -1), 3),
                ("LINEBELOW", (0, 0), (-1, -1), 0.4, colors.HexColor(LINE)),
            ],
        )
        yield Spacer(0, 8)


def headings_of(text: str) -> Sequence[str]:
    """Every heading of a page, in order and without its marks."""
    root = SyntaxTreeNode(MarkdownIt("commonmark").enable("table").parse(text))
    return [plain(node) for node in root.children if node.type == "heading"]
