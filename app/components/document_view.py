"""Parts of a document on the screen, and the whole of it to take away."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import pandas as pd
import streamlit as st

from app.components import words
from core.domain import Approval, Promotion, PromotionRequest
from core.problems.contract import Problem
from core.promotion.document import Document, Table, Text, Tone
from core.promotion.documents import html_bytes, pdf_bytes
from core.promotion.dossier import dossier
from core.promotion.evidence import Evidence
from core.promotion.model_card import model_card
from core.rollout.view import RolloutView

_COLOURS = {Tone.GOOD: "green", Tone.BAD: "red", Tone.UNSURE: "orange"}


def show_blocks(blocks: Sequence[Text | Table]) -> None:
    """Draws sentences and tables in their order."""
    for block in blocks:
        if isinstance(block, Table):
            show_table(block)
        else:
            st.markdown(marked(block))


def show_table(table: Table) -> None:
    """Draws a table; the first column is its heading."""
    if not table.rows:
        return
    _, *names = table.header
    # Two columns of the same name cannot be told apart; spaces are not drawn.
    columns = [words.plain(name) + " " * at for at, name in enumerate(names)]
    frame = pd.DataFrame(
        [[marked(cell) for cell in row[1:]] for row in table.rows],
        index=[words.plain(row[0].text) for row in table.rows],
        columns=columns,
    )
    st.table(frame, border="horizontal")
    if table.note:
        st.caption(words.plain(table.note))


def marked(text: Text) -> str:
    """A text as Markdown in the colour of its tone."""
    plain = words.plain(text.text)
    colour = _COLOURS.get(text.tone)
    return f":{colour}[**{plain}**]" if colour and plain else plain


def show_documents(
    problem: Problem,
    evidence: Evidence,
    request: PromotionRequest,
    approvals: Sequence[Approval],
    promotion: Promotion | None,
    shadows: Sequence[RolloutView],
) -> None:
    """Draws the buttons that take dossier and model card away; a file is made when asked for."""
    name = f"{problem.name}-v{request.version}"
    with st.container(horizontal=True):
        whole = dossier(problem, evidence, request, approvals, promotion, shadows)
        _show_files("Dossier", f"{name}-dossier", whole)
        _show_files("Model card", f"{name}-model-card", model_card(problem, evidence))


def _show_files(title: str, name: str, document: Document) -> None:
    kinds = (
        ("HTML", "text/html", ":material/description:", html_bytes),
        ("PDF", "application/pdf", ":material/picture_as_pdf:", pdf_bytes),
    )
    for kind, mime, icon, render in kinds:
        st.download_button(
            f"{title} as {kind}",
            partial(render, document),
            file_name=f"{name}.{kind.lower()}",
            mime=mime,
            icon=icon,
            on_click="ignore",
        )
