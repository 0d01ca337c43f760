"""Approvals: what waits for a decision, what was decided, and what was Production when."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import streamlit as st
from streamlit.column_config import DatetimeColumn, TextColumn

from app.components import installation, navigation, words
from app.components.approvals_watch import standing, watch
from app.components.decision_view import show_told
from app.components.failures import Failure, attempt, guarded, show_failure
from app.components.production_view import show_production
from app.components.request_view import show_request
from app.components.rollout_request import show_under_way
from app.components.row_table import pick_rows
from app.promotion.tables import requests_frame
from core.domain import PromotionRequest, RequestStatus

if TYPE_CHECKING:
    from core.bootstrap import Pilothouse

_QUERY = "request"
WAITING, DECIDED, HISTORY = "Waiting", "Decided", navigation.HISTORY_VIEW
PAGE_ROWS = 25


def render() -> None:
    """Draws the page."""
    st.title("Approvals")
    core = installation.pilothouse()
    view = st.segmented_control(
        "Show",
        [WAITING, DECIDED, HISTORY],
        default=WAITING,
        required=True,
        key="view",
        bind="query-params",
        on_change=_forget_request,
        label_visibility="collapsed",
    )
    show_told()
    if view == HISTORY:
        problem = installation.choose_problem(core)
        with guarded():
            show_production(core, problem)
        return
    with st.spinner("Reading the requests…"):
        requests = attempt(core.promotions.requests)
    if isinstance(requests, Failure):
        show_failure(requests)
        return
    # Read before anything is drawn of it, so that a change meanwhile is noticed as well.
    seen = attempt(lambda: standing(core, requests))
    if view == DECIDED:
        decided = [one for one in requests if one.status is not RequestStatus.OPEN]
        # What is on its way is not over; sorting keeps the order of the others.
        shown = _show_decided(core, sorted(decided, key=lambda one: not _is_under_way(one)))
    else:
        shown = _show_waiting(core, requests)
    if isinstance(seen, Failure):
        show_failure(seen)
    else:
        watch(seen, _QUERY, shown.id if shown else "")


def _forget_request() -> None:
    # What is in view belongs to the part of the page that is left.
    st.query_params.pop(_QUERY, None)


def _is_under_way(request: PromotionRequest) -> bool:
    return request.status is RequestStatus.ROLLING_OUT


def _show_waiting(
    core: Pilothouse, requests: Sequence[PromotionRequest]
) -> PromotionRequest | None:
    """Draws the inbox and returns the request in view."""
    for one in filter(_is_under_way, requests):
        show_under_way(core, one)
    waiting = [one for one in requests if one.status is RequestStatus.OPEN]
    asked = st.query_params.get(_QUERY, "")
    shown = next((one for one in requests if one.id == asked), None)
    if asked and shown is None:
        st.warning(f"There is no request {words.plain(asked)}.", icon=":material/search_off:")
    if not waiting:
        st.info(
            "Nothing waits for a decision. A candidate that passes the hard gates asks by itself.",
            icon=":material/inbox:",
        )
    elif len(waiting) > 1 or shown not in (None, waiting[0]):
        st.caption(f"{words.count(len(waiting), 'request')}, newest first. Tick one to open it.")
        _pick(waiting)
    else:
        shown = waiting[0]
    if shown is not None:
        with guarded():
            show_request(core, shown)
    return shown


def _show_decided(core: Pilothouse, decided: Sequence[PromotionRequest]) -> PromotionRequest | None:
    """Draws a page of what was decided and returns the request in view."""
    if not decided:
        st.info("Nothing was decided yet.", icon=":material/inbox:")
        return None
    pages = -(-len(decided) // PAGE_ROWS)
    page = st.session_state.get("decided-page", 1) if pages > 1 else 1
    rows = decided[(page - 1) * PAGE_ROWS : page * PAGE_ROWS]
    first = (page - 1) * PAGE_ROWS + 1
    st.caption(
        f"{first:,} to {first + len(rows) - 1:,} of {words.count(len(decided), 'request')}, newest "
        "first. Tick one to open it."
    )
    _pick(rows)
    if pages > 1:
        st.pagination(pages, key="decided-page")
    asked = st.query_params.get(_QUERY, "")
    shown = next((one for one in decided if one.id == asked), None)
    if shown is not None:
        with guarded():
            show_request(core, shown)
    return shown


def _pick(requests: Sequence[PromotionRequest]) -> None:
    pick_rows(
        requests_frame(requests),
        [one.id for one in requests],
        {
            "Version": TextColumn(pinned=True),
            "Asked (UTC)": DatetimeColumn(format="YYYY-MM-DD HH:mm", timezone="UTC"),
            "Reason": TextColumn(width="large"),
        },
        query=_QUERY,
        mode="single-row",
    )


if __name__ == "__main__":
    render()
