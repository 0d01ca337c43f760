"""Giving a file: the form, how far its check is, and the verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st
from streamlit.column_config import NumberColumn, TextColumn

from app.components import installation, navigation, rights, words
from app.components.failures import Failure, guarded, show_failure
from app.components.live import REFRESH_S
from app.components.uploads import Upload, uploads
from core.domain import Batch
from core.promotion.audit import Action

if TYPE_CHECKING:
    from core.bootstrap import Pilothouse
    from core.data.batches import Added
    from core.problems.contract import Problem

_FILE, _CLICKED = "upload-file", "upload-clicked"


def show_upload(core: Pilothouse, problem: Problem) -> None:
    """Draws what became of the last file, or how far it is, and the form for the next."""
    last = uploads().last(problem.name)
    if last is not None and last.outcome is None:
        with st.container(border=True):
            _show_progress(problem.name)
        if st.session_state.get(_CLICKED):
            _show_not_taken()
        return
    if last is not None:
        with st.container(border=True), guarded():
            _show_verdict(problem, last)
    _show_form(core, problem)


@st.fragment(run_every=REFRESH_S)
def _show_progress(problem: str) -> None:
    last = uploads().last(problem)
    if last is None or last.outcome is not None:
        # The verdict is drawn outside this fragment.
        st.rerun()
    st.progress(
        min(max(last.share, 0.0), 1.0),
        text=f"{last.share:.0%} · {last.doing} {words.plain(last.name)}",
    )
    st.caption("The check goes on when you leave this page.")


def _remember_click() -> None:
    # Called before the page is drawn anew, which may leave the form out by then. A second click
    # brings no file, as the first has cleared the form.
    st.session_state[_CLICKED] = st.session_state.get(_FILE) is not None


def _show_not_taken() -> None:
    st.warning(
        "Your file was not taken: another one was being checked when you gave it. Give it again "
        "once that is done.",
        icon=":material/running_with_errors:",
    )


def _show_form(core: Pilothouse, problem: Problem) -> None:
    was_clicked = st.session_state.pop(_CLICKED, False)
    with st.form("upload", clear_on_submit=True):
        given = st.file_uploader(
            "New data",
            type=["csv", "parquet"],
            key=_FILE,
            help="CSV in UTF-8 with a header line and commas, or Parquet; up to "
            f"{core.params.intake.max_file_mb:,} MB",
        )
        st.caption(_what_is_asked(problem))
        if st.form_submit_button(
            "Check and add",
            type="primary",
            icon=":material/upload_file:",
            on_click=_remember_click,
            **rights.needs(Action.BATCH_ACCEPTED),
        ):
            if given is None:
                st.caption(":orange[Choose a file first.]")
            else:
                uploads().start(core, problem.name, given.name, given, actor=installation.actor())
                st.rerun()
        elif was_clicked:
            _show_not_taken()
    st.code(f"pilothouse batch add {problem.name} FILE", language="bash")


def _what_is_asked(problem: Problem) -> str:
    contract = problem.contract
    texts = {one.into: one.name for one in contract.reduced}
    columns = [f"{name} (or {texts[name]})" if name in texts else name for name in contract.names]
    columns += [contract.timestamp] if contract.timestamp else []
    label = words.plain(contract.label.name)
    asked = f"Columns: {words.plain(', '.join(columns))}. The label {label} may be missing, "
    asked += "wholly or in places."
    gone = [*contract.identifiers, *contract.leaky, *texts.values()]
    if gone:
        asked += f" Never stored, even if given: {words.plain(', '.join(gone))}."
    return asked


def _show_verdict(problem: Problem, last: Upload) -> None:
    outcome = last.outcome
    if isinstance(outcome, Failure):
        _show_refusal(last.name, outcome)
    elif outcome is not None:
        _show_acceptance(outcome)
    if st.button("Put away", icon=":material/close:", key="put-away"):
        uploads().put_away(problem.name)
        st.rerun()


def _show_acceptance(added: Added) -> None:
    batch = added.batch
    if added.is_new:
        st.success(
            f"**Accepted**: {words.plain(batch.name)}, {words.count(batch.rows, 'row')}, "
            f"{words.count(batch.given_labels, 'label')}.",
            icon=":material/check_circle:",
        )
    else:
        st.info(
            f"**Already here**: the same file was added {words.clock(batch.added_at)} by "
            f"{words.plain(batch.added_by)}, so nothing was stored again.",
            icon=":material/content_copy:",
        )
    show_what_was_noticed(batch)
    with st.container(horizontal=True):
        navigation.link_to_data("Look at this batch", problem=batch.problem, batch_id=batch.id)
        navigation.link_to_drift("See whether it drifted", problem=batch.problem)


def show_what_was_noticed(batch: Batch) -> None:
    """Draws what was dropped of a batch and what is unusual in it."""
    if batch.dropped:
        st.caption(f"Dropped on the way in: {words.plain(', '.join(batch.dropped))}.")
    if batch.findings:
        lines = [
            f"- **{words.plain(one.column)}**: {words.plain(one.rule)} in "
            f"{words.count(one.rows, 'row')} ({one.rows / batch.rows:.1%})"
            for one in batch.findings
        ]
        st.markdown("Accepted, but unusual:\n" + "\n".join(lines))


def _show_refusal(name: str, refused: Failure) -> None:
    if not refused.offences:
        show_failure(refused)
        return
    st.error(
        f"**Refused**: {words.plain(name)}. {words.plain(refused.sentence)}",
        icon=":material/cancel:",
    )
    st.dataframe(
        pd.DataFrame(
            {
                "Row": pd.array([one.row for one in refused.offences], dtype="Int64"),
                "Column": [one.field for one in refused.offences],
                "What is wrong": [one.problem for one in refused.offences],
            }
        ),
        hide_index=True,
        column_config={
            "Row": NumberColumn(help="Counted from 0, without the header", format="%d"),
            "Column": TextColumn(),
            "What is wrong": TextColumn(width="large"),
        },
    )
    st.caption("The first 100 at most.")
