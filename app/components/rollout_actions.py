"""Holding, continuing and ending a rollout: a reason each, and the command beside it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import streamlit as st

from app.components import installation, rights, words
from app.components.failures import failure_from, show_failure
from core.errors import PilothouseError
from core.promotion.audit import Action
from core.rollout.values import Rollout, RolloutKind, RolloutStatus

if TYPE_CHECKING:
    from core.bootstrap import Pilothouse

#: What the service does to the active rollout of a problem.
_Step = Callable[..., Rollout]


def show_actions(core: Pilothouse, rollout: Rollout) -> None:
    """Draws the form of an active rollout and the commands that do the same."""
    least = core.params.promotion.reason_min_length
    is_canary = rollout.kind is RolloutKind.CANARY
    with st.form(f"rollout-{rollout.id}", border=False):
        reason = st.text_input(
            f"Why, at least {words.count(least, 'character')}",
            # What was said to hold it is no reason to go on.
            key=f"rollout-reason-{rollout.id}-{rollout.status.value}",
            placeholder="It is kept with the rollout and in the audit trail",
        )
        with st.container(horizontal=True):
            act = _of_canary(core, rollout) if is_canary else _of_shadow(core, rollout)
        if act is not None and is_long_enough(reason, least):
            _act(act, rollout.problem, reason)
    verbs = ["stop"]
    if is_canary:
        verbs.insert(0, "continue" if rollout.status is RolloutStatus.HELD else "hold")
    commands = [words.rollout_command(verb, rollout.problem) for verb in verbs]
    st.code("\n".join(commands), language="bash")


def _of_canary(core: Pilothouse, canary: Rollout) -> _Step | None:
    """Draws the buttons of a canary; what the one that was pressed does."""
    if canary.status is RolloutStatus.HELD:
        if st.form_submit_button(
            f"Go on with v{canary.version}",
            type="primary",
            icon=":material/play_arrow:",
            **rights.needs(Action.ROLLOUT_CONTINUED),
        ):
            return core.rollouts.resume
    elif st.form_submit_button(
        f"Hold v{canary.version}",
        icon=":material/pause:",
        **rights.needs(Action.ROLLOUT_HELD, help="Its share stays as it is."),
    ):
        return core.rollouts.hold
    if st.form_submit_button(
        f"Abort, back to v{canary.incumbent_version}",
        icon=":material/undo:",
        **rights.needs(Action.ROLLOUT_STOPPED),
    ):
        return core.rollouts.stop
    return None


def _of_shadow(core: Pilothouse, shadow: Rollout) -> _Step | None:
    """Draws the button of a shadow; what it does if it was pressed."""
    pressed = st.form_submit_button(
        f"Stop v{shadow.version}",
        icon=":material/stop:",
        **rights.needs(Action.ROLLOUT_STOPPED),
    )
    return core.rollouts.stop if pressed else None


def is_long_enough(reason: str, least: int) -> bool:
    """Whether a reason has enough characters; says so where it has not."""
    short = least - len(reason.strip())
    if short > 0:
        st.error(f"The reason lacks {words.count(short, 'character')}.", icon=":material/edit:")
    return short <= 0


def _act(act: _Step, problem: str, reason: str) -> None:
    try:
        with st.spinner("Telling the replicas…", show_time=True):
            act(problem, actor=installation.actor(), reason=reason)
    except PilothouseError as exc:
        show_failure(failure_from(exc))
    else:
        st.rerun()
