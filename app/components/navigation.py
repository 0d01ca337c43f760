"""Where the pages are, so that any of them can link to any other."""

from __future__ import annotations

from collections.abc import Iterable

import streamlit as st

OVERVIEW = "views/overview.py"
DATA = "views/data.py"
TRAIN = "views/train.py"
EXPERIMENTS = "views/experiments.py"
RESOURCES = "views/resources.py"
DRIFT = "views/drift.py"
APPROVALS = "views/approvals.py"
SERVING = "views/serving.py"
AUDIT = "views/audit.py"
TRACE = "views/trace.py"
ACCESS = "views/access.py"
#: The part of Approvals that shows Production over time, as the address names it.
HISTORY_VIEW = "Production over time"


def link_to_data(label: str, *, problem: str, batch_id: str) -> None:
    """Draws a link to Data with one batch in view."""
    query = {"problem": problem, "batch": batch_id}
    st.page_link(DATA, label=label, icon=":material/table_rows:", query_params=query)


def link_to_training(
    label: str, *, problem: str, run_id: str | None = None, profile: str | None = None
) -> None:
    """Draws a link to Train, with one run in view or a profile chosen if named."""
    query = {"problem": problem} | ({"run": run_id} if run_id else {})
    query |= {"profile": profile} if profile else {}
    st.page_link(TRAIN, label=label, icon=":material/model_training:", query_params=query)


def link_to_experiments(label: str, *, problem: str, run_ids: Iterable[str]) -> None:
    """Draws a link to Experiments with these runs picked."""
    query = {"problem": problem, "runs": ",".join(run_ids)}
    st.page_link(EXPERIMENTS, label=label, icon=":material/compare_arrows:", query_params=query)


def link_to_resources(label: str, *, problem: str) -> None:
    """Draws a link to Resources."""
    query = {"problem": problem}
    st.page_link(RESOURCES, label=label, icon=":material/memory:", query_params=query)


def link_to_drift(label: str, *, problem: str, check_id: str | None = None) -> None:
    """Draws a link to Drift, with one check in view if named."""
    query = {"problem": problem} | ({"check": check_id} if check_id else {})
    st.page_link(DRIFT, label=label, icon=":material/troubleshoot:", query_params=query)


def link_to_approvals(label: str, *, request_id: str | None = None) -> None:
    """Draws a link to Approvals, with one request in view if named."""
    query = {"request": request_id} if request_id else {}
    st.page_link(APPROVALS, label=label, icon=":material/how_to_reg:", query_params=query)


def link_to_history(label: str, *, problem: str) -> None:
    """Draws a link to what was Production when, on Approvals."""
    query = {"problem": problem, "view": HISTORY_VIEW}
    st.page_link(APPROVALS, label=label, icon=":material/history:", query_params=query)


def link_to_serving(label: str, *, problem: str) -> None:
    """Draws a link to Serving."""
    query = {"problem": problem}
    st.page_link(SERVING, label=label, icon=":material/bolt:", query_params=query)


def link_to_trace(label: str, *, request_id: str) -> None:
    """Draws a link to Trace with one answer in view."""
    query = {"request": request_id}
    st.page_link(TRACE, label=label, icon=":material/route:", query_params=query)
