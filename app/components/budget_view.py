"""What a served model promises, what it kept, and how much of its error budget is left."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from app.components import words
from app.components.failures import Failure, attempt, guarded, show_failure
from app.components.installation import pilothouse
from app.rollout.figures import percent

if TYPE_CHECKING:
    from core.bootstrap import Pilothouse
    from core.rollout.slo import Budget

REFRESH_S = 15.0


@st.fragment(run_every=REFRESH_S)
def show_budget(problem: str) -> None:
    """Draws the service level objective of a problem; nothing where it has none."""
    with guarded():
        budget = pilothouse().slo.look(problem)
        if budget is None:
            return
        st.subheader("Service level")
        days = words.count(budget.objective.window_days, "day")
        st.caption(f"What is promised of this problem, and what the last {days} have kept.")
        _show_promises(budget)
        if budget.is_spent:
            st.error(words.plain(budget.said), icon=":material/error:")
        else:
            st.caption(words.plain(budget.said))


def _show_promises(budget: Budget) -> None:
    objective = budget.objective
    left, right = st.columns(2, gap="large")
    with left:
        _show_promise(
            f"Answered: {100 * objective.availability:g} % promised",
            budget.availability,
            budget.spent_errors,
            f"{budget.errors:,} of {words.count(budget.requests, 'request')} failed",
        )
    with right:
        _show_promise(
            f"Within {words.milliseconds(objective.p95_ms)} ms: 95 % promised",
            budget.within,
            budget.spent_slow,
            f"{round(budget.slow):,} of {words.count(budget.requests, 'request')} took longer",
        )


def _show_promise(label: str, kept: float | None, spent: float, said: str) -> None:
    st.metric(label, words.NOTHING if kept is None else f"{100 * kept:.5g} %")
    left = max(0.0, 1.0 - spent)
    st.progress(left, text=f"{percent(left)} of the error budget is left; {said}.")


def ask_despite_budget(core: Pilothouse, problem: str, *, key: str) -> str:
    """Draws why a spent budget holds rollouts, and a field for the reason to go on anyway.

    Returns:
        What was entered; empty where the budget is not spent.
    """
    budget = attempt(lambda: core.slo.look(problem))
    if isinstance(budget, Failure):
        show_failure(budget)
        return ""
    if budget is None or not budget.is_spent:
        return ""
    st.warning(
        f"{words.plain(budget.said)} New rollouts are held until it has recovered.",
        icon=":material/money_off:",
    )
    return st.text_input(
        "Why start it although the error budget is spent",
        key=key,
        placeholder="Such as: this version mends what has spent it",
    ).strip()
