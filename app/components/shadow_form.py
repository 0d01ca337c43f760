"""Starting a shadow: a version, a share of the requests, and a reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from app.components import installation, rights, words
from app.components.budget_view import ask_despite_budget
from app.components.failures import Failure, attempt, failure_from, show_failure
from app.components.rollout_actions import is_long_enough
from core.domain import Promotion
from core.errors import PilothouseError
from core.promotion.audit import Action

if TYPE_CHECKING:
    from core.bootstrap import Pilothouse


def show_shadow_form(core: Pilothouse, problem: str, production: Promotion) -> None:
    """Draws the form in a fold; ``production`` is what a shadow would stand beside."""
    with st.expander("Try a version in the shadow", icon=":material/visibility:"):
        found = attempt(lambda: _versions(core, problem, production.version))
        if isinstance(found, Failure):
            show_failure(found)
        elif not found:
            st.caption(
                f"v{production.version} is the only registered version, so there is none to try."
            )
        else:
            st.caption(
                f"It scores live requests beside v{production.version}, after the answer is out. "
                "Nobody gets its answers."
            )
            _show_form(core, problem, found)


def _versions(core: Pilothouse, problem: str, production: int) -> list[int]:
    """Registered versions other than the one in Production, newest first."""
    versions = {one.run.model_version for one in core.experiments.table(problem)}
    return sorted((one for one in versions if one not in (None, production)), reverse=True)


def _show_form(core: Pilothouse, problem: str, versions: list[int]) -> None:
    least = core.params.promotion.reason_min_length
    with st.form(f"shadow-{problem}", border=False):
        version = st.selectbox(
            "Version to try",
            versions,
            format_func=lambda number: f"v{number}",
            key="shadow-version",
        )
        share = st.slider(
            "Share of the requests",
            min_value=1,
            max_value=100,
            value=max(1, round(100 * core.params.rollout.shadow.share)),
            format="%d %%",
            key="shadow-share",
        )
        reason = st.text_input(
            f"Why, at least {words.count(least, 'character')}",
            key="shadow-reason",
            placeholder="What you want to know of it",
        )
        despite = ask_despite_budget(core, problem, key="shadow-despite")
        go = st.form_submit_button(
            "Start the shadow",
            type="primary",
            icon=":material/visibility:",
            **rights.needs(Action.SHADOW_STARTED),
        )
        if go and is_long_enough(reason, least):
            _start(core, problem, version, share / 100, reason, despite)
    st.code(
        f'pilothouse rollout shadow {problem} {version} --share {share / 100:g} --reason "…"',
        language="bash",
    )


def _start(
    core: Pilothouse, problem: str, version: int, share: float, reason: str, despite: str
) -> None:
    try:
        with st.spinner("Telling the replicas…", show_time=True):
            core.rollouts.start_shadow(
                problem,
                version,
                share=share,
                actor=installation.actor(),
                reason=reason,
                despite_budget=despite,
            )
    except PilothouseError as exc:
        show_failure(failure_from(exc))
    else:
        st.rerun()
