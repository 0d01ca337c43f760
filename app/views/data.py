"""Data: add batches of new data, look at them, hold them against each other."""

from __future__ import annotations

import streamlit as st

from app.components import installation
from app.components.batch_table import pick_batch
from app.components.batch_view import show_batch, show_comparison
from app.components.failures import Failure, attempt, guarded, show_failure
from app.components.labels_view import show_labels_upload
from app.components.upload_view import show_upload

_MOST = 1_000


def render() -> None:
    """Draws the page."""
    st.title("Data")
    core = installation.pilothouse()
    problem = installation.choose_problem(core)
    with guarded():
        show_upload(core, problem)
    with st.expander("Add late labels", icon=":material/label:"), guarded():
        show_labels_upload(core, problem)
    with st.spinner("Reading the batches…"):
        batches = attempt(lambda: core.batches.list(problem.name, _MOST))
    st.subheader("Batches")
    if isinstance(batches, Failure):
        show_failure(batches)
        return
    if not batches:
        st.info(
            f"No new data of {problem.title} has arrived yet. Add a file here, or with the "
            "command below the form.",
            icon=":material/table_rows:",
        )
        return
    picked = pick_batch(batches)
    if len(batches) == _MOST:
        st.caption(f"The newest {_MOST:,}.")
    if picked is None:
        st.caption("Pick a batch to look at it, or to hold it against another.")
        return
    with guarded():
        show_batch(picked)
    with guarded():
        show_comparison(picked, batches)


if __name__ == "__main__":
    render()
