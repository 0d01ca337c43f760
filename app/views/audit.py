"""Audit: who did what, when and why, and whether the record is still what was written."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

from app.components import installation, words
from app.components.failures import Failure, attempt, guarded, show_failure
from app.components.row_table import pick_rows
from core.promotion.audit import Action, AuditRow, Chosen, Outcome
from core.promotion.audit_export import csv_table, json_lines, record_of

if TYPE_CHECKING:
    from core.bootstrap import Pilothouse
    from core.promotion.trail import AuditTrail, Verification

PAGE_ROWS = 100
_MOST_FINDINGS = 20
_VERIFIED_FOR_S = 60
_EVERY = ""
_WHAT_TO_DO = (
    "Stop deciding on this record. Keep a copy of the database and of the anchor as they are, "
    "compare the rows with an earlier export or backup, and ask who may write both. A damage "
    "that is explained, such as a restored backup, is closed with "
    '`pilothouse audit anchor --reason "…"`; edited and removed rows stay findings.'
)
_COLUMNS = {
    "Row": st.column_config.NumberColumn(width="small"),
    "Time": st.column_config.DatetimeColumn("Time (UTC)", format="YYYY-MM-DD HH:mm:ss"),
    "Object": st.column_config.TextColumn(width="small"),
    "Reason": st.column_config.TextColumn(width="medium"),
    "Detail": st.column_config.TextColumn(width="large"),
}


def render() -> None:
    """Draws the page."""
    st.title("Audit")
    core = installation.pilothouse()
    with guarded():
        _show_chain()
    chosen = _choose(core)
    total = attempt(lambda: core.audit.count(chosen))
    if isinstance(total, Failure):
        show_failure(total)
        return
    if total == 0:
        st.info(
            "Nothing that was done fits this choice."
            if chosen != Chosen()
            else "Nothing has been done yet: every run, batch, label, alert and decision is "
            "recorded here.",
            icon=":material/history_edu:",
        )
        return
    with guarded():
        _show_downloads(core.audit, chosen)
    with guarded():
        _show_rows(core.audit, chosen, total)


# Every row is read and its hash made again, so not at each click.
@st.cache_resource(ttl=_VERIFIED_FOR_S, show_spinner="Verifying every row…")
def _verification() -> Verification:
    return installation.pilothouse().audit.verify()


def _show_chain() -> None:
    left, right = st.columns([5, 1], vertical_alignment="center")
    if right.button("Verify now", icon=":material/verified:"):
        _verification.clear()
    found = _verification()
    when = words.when(found.at, datetime.now(UTC))
    if found.is_whole:
        rows = words.count(found.rows, "row")
        anchored = f"anchored up to row {found.anchored:,}"
        text = f"The chain is whole: {rows}, {anchored}. Verified {when}."
        left.success(text, icon=":material/verified:")
        return
    lines = [f"- {words.plain(one.text)}" for one in found.findings[:_MOST_FINDINGS]]
    if len(found.findings) > _MOST_FINDINGS:
        lines.append(f"- and {words.count(len(found.findings) - _MOST_FINDINGS, 'more finding')}")
    head = f"**The record is not what was written.** Verified {when}."
    left.error("\n\n".join([head, "\n".join(lines), _WHAT_TO_DO]), icon=":material/gpp_bad:")


def _choose(core: Pilothouse) -> Chosen:
    problem, actor, action, outcome, first, last = st.columns(6)
    with problem:
        of_problem = _select("Problem", list(core.problems))
    with actor:
        by_actor = _select("Actor", list(core.audit.actors()))
    with action:
        of_action = _select("Action", [one.value for one in Action])
    with outcome:
        with_outcome = _select("Outcome", [one.value for one in Outcome])
    since = first.date_input("From (UTC)", value=None, key="from", bind="query-params")
    until = last.date_input("To (UTC)", value=None, key="to", bind="query-params")
    return Chosen(
        problem=of_problem,
        actor=by_actor,
        action=of_action,
        outcome=with_outcome,
        since=_midnight(since) if isinstance(since, date) else None,
        until=_midnight(until + timedelta(days=1)) if isinstance(until, date) else None,
    )


def _select(label: str, options: Sequence[str]) -> str:
    return st.selectbox(
        label,
        [_EVERY, *options],
        format_func=lambda one: one or "All",
        key=label.lower(),
        bind="query-params",
    )


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _show_downloads(audit: AuditTrail, chosen: Chosen) -> None:
    def oldest_first() -> Sequence[AuditRow]:
        return audit.list(None, chosen)[::-1]

    with st.container(horizontal=True):
        st.download_button(
            "JSON Lines",
            lambda: json_lines(oldest_first()),
            file_name="audit.jsonl",
            mime="application/jsonl",
            icon=":material/data_object:",
            on_click="ignore",
        )
        st.download_button(
            "CSV",
            lambda: csv_table(oldest_first()),
            file_name="audit.csv",
            mime="text/csv",
            icon=":material/table_view:",
            on_click="ignore",
        )


def _show_rows(audit: AuditTrail, chosen: Chosen, total: int) -> None:
    pages = -(-total // PAGE_ROWS)
    page = 1
    if pages > 1:
        page = st.number_input(
            f"Page, 1 to {pages:,}", 1, pages, key=f"page-{hash(chosen)}", width=160
        )
    offset = (page - 1) * PAGE_ROWS
    rows = audit.list(PAGE_ROWS, chosen, offset=offset)
    st.caption(
        f"{words.count(total, 'row')}, newest first"
        + (f"; {offset + 1:,} to {offset + len(rows):,} here" if pages > 1 else "")
        + ". Tick one to read all of it. The files hold every row of this choice, oldest first."
    )
    by_id = {str(row.sequence): row for row in rows}
    picked = pick_rows(rows_frame(rows), list(by_id), _COLUMNS, query="row", mode="single-row")
    for one in picked:
        st.json(record_of(by_id[one]))


def rows_frame(rows: Sequence[AuditRow]) -> pd.DataFrame:
    """Rows of the trail as a table."""
    return pd.DataFrame(
        [
            {
                "Row": row.sequence,
                # Without its zone, as tables show it: the heading says UTC.
                "Time": row.entry.at.replace(tzinfo=None),
                "Actor": row.entry.actor,
                "Action": row.entry.action,
                "Object": row.entry.object,
                "Outcome": row.entry.outcome,
                "Reason": row.entry.reason,
                "Detail": row.entry.headline,
                "Problem": row.entry.problem,
                "Role": row.entry.role,
                "Request": row.entry.request_id,
            }
            for row in rows
        ]
    )


if __name__ == "__main__":
    render()
