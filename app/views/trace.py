"""Trace: from an answer back to its model, data, code and the decision behind it."""

from __future__ import annotations

import streamlit as st

from app.components import words
from app.components.failures import Failure, attempt, guarded, show_failure
from app.components.installation import pilothouse
from app.components.lineage_view import show_chain, show_records, show_replay
from core.deployment.lineage import PAGE_ROWS, Lineage


def render() -> None:
    """Draws the page."""
    st.title("Trace")
    core = pilothouse()
    request_id = st.text_input(
        "Request id",
        key="request",
        bind="query-params",
        placeholder="The request_id of an answer: 32 hexadecimal digits",
    )
    if not request_id:
        st.info(
            "Every answer of a model carries a `request_id`. It leads back to what the model was "
            "given, which version answered, what that was trained on, and who put it into "
            "Production.",
            icon=":material/route:",
        )
        return
    replay = st.toggle("Score its records again and compare", key="replay", bind="query-params")
    skip = int(st.session_state.get(_records_key(request_id), 0))
    with st.spinner("Looking it up…"):
        lineage = attempt(
            lambda: core.tracing.trace(request_id or "", skip=skip, replay=bool(replay))
        )
    if isinstance(lineage, Failure):
        show_failure(lineage)
        return
    with guarded():
        _show(request_id, lineage)


def _show(request_id: str, lineage: Lineage) -> None:
    if lineage.replay is not None:
        show_replay(lineage.replay)
    show_chain(lineage)
    st.subheader("Records")
    total = lineage.answer.records
    if total > PAGE_ROWS:
        st.selectbox(
            f"Records, {total:,} in all",
            range(0, total, PAGE_ROWS),
            format_func=lambda first: f"{first:,} to {min(first + PAGE_ROWS, total) - 1:,}",
            key=_records_key(request_id),
        )
    show_records(lineage)
    with st.expander("The same on the command line", icon=":material/terminal:"):
        st.code(words.trace_command(lineage.id), language="bash")


def _records_key(request_id: str) -> str:
    return f"records-{request_id}"


if __name__ == "__main__":
    render()
