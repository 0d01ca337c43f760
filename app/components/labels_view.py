"""Late labels on the screen: a file of them, and what became of each."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from app.components import installation, words
from app.components.failures import guarded
from core.data.label_join import labels_sentence

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
    if st.button("Add the labels", icon=":material/label:", disabled=given is None) and given:
        with guarded():
            _add(core, problem, given.getvalue())
    st.code(f"pilothouse batch labels {problem.name} FILE", language="bash")


def _add(core: Pilothouse, problem: Problem, content: bytes) -> None:
    with st.spinner("Joining the labels…"), tempfile.TemporaryDirectory() as folder:
        # A name of our own: what a user calls a file never becomes a path.
        file = Path(folder) / "labels"
        file.write_bytes(content)
        report = core.labels.add(problem.name, file, actor=installation.actor())
    st.success(labels_sentence(report), icon=":material/label:")
