"""A document as one HTML file that needs no other file and no network."""

from __future__ import annotations

from html import escape

from core.promotion.document import Document, Section, Table, Text, Tone

#: Nothing is fetched and nothing runs, whatever a text of the document may say.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_STYLE = """
:root{color-scheme:light dark;font:15px/1.5 system-ui,sans-serif}
body{max-width:960px;margin:2rem auto;padding:0 1rem;overflow-wrap:anywhere}
h1{font-size:1.7rem;line-height:1.25;margin-bottom:.2rem}h2{font-size:1.2rem;margin-top:2rem}
.note{opacity:.75;font-size:.9rem}.wide{overflow-x:auto}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{padding:.3rem 1rem .3rem 0;border-bottom:1px solid #8795a166;text-align:left;
vertical-align:top}td{overflow-wrap:normal}td:last-child{overflow-wrap:anywhere}
.good{color:light-dark(#0a7d4f,#4fc38a)}.bad{color:light-dark(#b3261e,#ff8a80)}
.unsure{color:light-dark(#93580a,#f0b35b)}.good,.bad,.unsure{font-weight:600}
@media print{:root{color-scheme:light}body{margin:0;max-width:none}}
"""


def render_html(document: Document) -> str:
    """The document as HTML; every text is escaped."""
    title = escape(document.title)
    body = "".join(_section(one) for one in document.sections)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{_STYLE}</style></head><body><h1>{title}</h1>"
        f'<p class="note">{escape(document.lead)}</p>{body}</body></html>'
    )


def _section(section: Section) -> str:
    blocks = "".join(
        _table(block) if isinstance(block, Table) else f"<p{_class(block)}>{escape(block.text)}</p>"
        for block in section.blocks
    )
    return f"<h2>{escape(section.title)}</h2>{blocks}"


def _table(table: Table) -> str:
    head = ""
    if any(table.header):
        cells = "".join(f'<th scope="col">{escape(name)}</th>' for name in table.header)
        head = f"<thead><tr>{cells}</tr></thead>"
    body = "".join(f"<tr>{_row(row)}</tr>" for row in table.rows)
    note = f'<p class="note">{escape(table.note)}</p>' if table.note else ""
    return f'<div class="wide"><table>{head}<tbody>{body}</tbody></table></div>{note}'


def _row(row: tuple[Text, ...]) -> str:
    first, *rest = row
    cells = "".join(f"<td{_class(cell)}>{escape(cell.text)}</td>" for cell in rest)
    return f'<th scope="row"{_class(first)}>{escape(first.text)}</th>{cells}'


def _class(text: Text) -> str:
    return "" if text.tone is Tone.PLAIN else f' class="{text.tone.value}"'
