"""Late labels on the screen: a file of them, and what became of each."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, BinaryIO

import streamlit as st

from app.components import installation, rights, words
from app.components.failures import guarded
from core.data.label_count import last_look
from core.data.label_join import labels_sentence
from core.promotion.audit import Action

if TYPE_CHECKING:
    from core.bootstrap import Pilothouse
    from core.problems.contract import Problem


def show_labels_upload(core: Pilothouse, problem: Problem) -> None:
    """Draws the form that takes labels of batches and of answered predictions."""
    label = words.plain(problem.contract.label.name)
    st.caption(
        f"CSV or Parquet with batch\\_id and row\\_id, or request\\_id and index, and {label}. The "
        "first label of a row counts."
    )
    given = st.file_uploader(
        "File of labels", type=["csv", "parquet"], key=f"labels-{problem.name}"
    )
    needs = rights.needs(Action.LABELS_ADDED, disabled=given is None)
    if st.button("Add the labels", icon=":material/label:", **needs) and given:
        with guarded():
            _add(core, problem, given, given.name)
    last = last_look(core.audit, problem.name)
    if last is not None:
        at = words.when(last.entry.at, datetime.now(UTC))
        st.caption(f"Last look at labels by HTTP, {at}: {words.plain(last.entry.detail)}")
    st.code(f"pilothouse batch labels {problem.name} FILE", language="bash")


def _add(core: Pilothouse, problem: Problem, content: BinaryIO, name: str) -> None:
    with st.spinner("Joining the labels…"):
        report = core.labels.add(problem.name, content, name=name, actor=installation.actor())
    st.success(labels_sentence(report), icon=":material/label:")
