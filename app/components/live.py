"""What runs and sweeps have in common while they go on: progress, log, and the way out."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from app.components import rights
from app.components.failures import Failure, attempt, guarded, show_failure
from core.domain import Run, RunStatus, Sweep
from core.promotion.audit import Action

LOG_LINES = 200
REFRESH_S = 2.0
_LOG_HEIGHT = 300


def show_progress(work: Run | Sweep) -> None:
    """Draws stage and percent."""
    progress = work.progress
    if progress is None:
        waiting = "waiting for the cluster" if work.status is RunStatus.QUEUED else "starting"
        st.progress(0, text=f"0 % · {waiting}")
        return
    parts = [f"{progress.percent} %", progress.stage.value, progress.message]
    st.progress(
        min(max(progress.percent, 0), 100) / 100, text=" · ".join(part for part in parts if part)
    )


def show_log(read: Callable[[], str], command: str) -> None:
    """Draws the last lines of a log; ``command`` prints all of it."""
    log = attempt(read)
    if isinstance(log, Failure):
        show_failure(log)
    elif not log.strip():
        st.caption("Nothing logged yet.")
    else:
        with st.container(height=_LOG_HEIGHT, border=False, autoscroll=True):
            st.code(log, language=None, wrap_lines=True)
        st.caption(f"The last {LOG_LINES} lines at most; all of it: `{command}`")


def show_cancel(noun: str, key: str, action: Action, cancel: Callable[[], object]) -> None:
    """Draws a button that asks first; ``noun`` is what ends, such as ``run``."""
    needs = rights.needs(action)
    with st.popover(f"Cancel this {noun}", icon=":material/stop_circle:", **needs):
        st.markdown(f"Cancelling frees the cluster and loses what the {noun} computed so far.")
        if st.button(f"Yes, cancel the {noun}", type="primary", key=f"cancel-{key}", **needs):
            with guarded():
                with st.spinner("Cancelling…"):
                    cancel()
                st.rerun()
