"""Going back to an earlier Production version, from whichever page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import streamlit as st

from app.components import installation, rights, words
from app.components.failures import Failure, failure_from, show_failure
from app.components.four_eyes_view import show_four_eyes
from app.components.gate_view import show_gates
from app.components.rollout_view import show_switch
from app.promotion.tables import earlier_versions
from core.domain import Promotion
from core.errors import PilothouseError
from core.promotion.audit import Action
from core.promotion.shown import fallbacks

if TYPE_CHECKING:
    from core.bootstrap import Pilothouse


def show_rollback(core: Pilothouse, problem: str, record: Sequence[Promotion]) -> None:
    """Draws how the last switch goes, and in a fold the way back to an earlier version.

    Args:
        core: of this installation.
        problem: whose model.
        record: its promotion record, newest first.
    """
    if not record:
        return
    show_switch(record[0])
    show_four_eyes(core, rollback=True)
    earlier = earlier_versions(record)
    with st.expander("Roll back", icon=":material/undo:"):
        if not earlier:
            st.caption(
                f"v{record[0].version} is the first version that became Production, so there is "
                "nothing to go back to."
            )
            return
        # The newest one that nobody has gone back from, which the command takes as well.
        best = fallbacks(record)
        first = best[0].version if best else next(iter(earlier))
        _show_form(core, problem, record[0], earlier, list(earlier).index(first))


def _show_form(
    core: Pilothouse,
    problem: str,
    current: Promotion,
    earlier: Mapping[int, Promotion],
    first: int,
) -> None:
    version = st.selectbox(
        "Version to go back to",
        list(earlier),
        index=first,
        format_func=lambda number: _label(earlier[number]),
        # Another version in Production is another choice.
        key=f"rollback-{current.id}",
    )
    _show_what_it_was(core, earlier[version])
    least = core.params.promotion.reason_min_length
    with st.form(f"rollback-form-{current.id}", border=False):
        reason = st.text_input(
            f"Reason, at least {words.count(least, 'character')}",
            placeholder="What is wrong with the version that serves now",
        )
        go = st.form_submit_button(
            f"Roll back from v{current.version} to v{version}",
            type="primary",
            icon=":material/undo:",
            **rights.needs(Action.ROLLED_BACK),
        )
        if go:
            _roll_back(core, problem, version, reason, least)
    st.code(
        f'pilothouse promote rollback {problem} --version {version} --reason "…"', language="bash"
    )


def _label(promotion: Promotion) -> str:
    return (
        f"v{promotion.version}, in Production from {words.clock(promotion.since)} "
        f"by {promotion.rule}"
    )


def _show_what_it_was(core: Pilothouse, target: Promotion) -> None:
    report = installation.report(target.run_id)
    if isinstance(report, Failure):
        show_failure(report)
    else:
        auc = report.metrics["auc"]
        st.markdown(
            f"{words.family_name(report.family)}, AUC {words.plain(words.interval(auc))} on "
            "its holdout."
        )
    st.caption(
        "What the gates said of it when it was last put up. They do not stand in the way: a "
        "rollback needs a reason and nothing else, and goes into the record and the audit trail "
        "as any promotion."
    )
    show_gates(core.promotions.gates_of(target.problem, target.version))


def _roll_back(core: Pilothouse, problem: str, version: int, reason: str, least: int) -> None:
    short = least - len(reason.strip())
    if short > 0:
        st.error(f"The reason lacks {words.count(short, 'character')}.", icon=":material/edit:")
        return
    try:
        with st.spinner(f"Going back to v{version}…", show_time=True):
            core.promotions.rollback(problem, version, reason=reason, actor=installation.actor())
    except PilothouseError as exc:
        show_failure(failure_from(exc))
    else:
        st.rerun()
