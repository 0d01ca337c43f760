"""The active rollout of a problem, drawn anew every few seconds, and those that are over."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import streamlit as st
from streamlit.column_config import DatetimeColumn, TextColumn

from app.components import navigation, rights, words
from app.components.canary_view import show_canary, show_canary_result
from app.components.failures import guarded
from app.components.installation import pilothouse
from app.components.rollout_actions import show_actions
from app.components.shadow_view import show_shadow, show_shadow_result
from app.rollout.figures import percent
from app.rollout.tables import rollouts_frame, status_word
from core.rollout.values import Rollout, RolloutKind, RolloutStatus

if TYPE_CHECKING:
    from core.bootstrap import Pilothouse
    from core.rollout.view import RolloutView

REFRESH_S = 5.0
#: Rollouts that the fold lists; `pilothouse rollout list --json` has them all.
MOST_LISTED = 50


@st.fragment(run_every=REFRESH_S)
def show_rollouts(problem: str, seen: str) -> None:
    """Draws the active rollout, how the last one ended, and the history.

    Args:
        problem: whose model.
        seen: id of the rollout that was active when the page was drawn; empty if none was.
    """
    with guarded():
        core = pilothouse()
        rights.read(core)
        active = core.rollouts.active(problem)
        if (active.id if active else "") != seen:
            # What may be started, and what to go back to, is drawn outside this fragment.
            st.rerun()
        if active is not None:
            view = core.rollouts.view(active)
            with st.container(border=True):
                if active.kind is RolloutKind.CANARY:
                    show_canary(core, view)
                else:
                    show_shadow(core, view)
                if active.request_id:
                    navigation.link_to_approvals("Its evidence", request_id=active.request_id)
                show_actions(core, active)
        over = [
            one
            for one in core.rollouts.list(problem, limit=MOST_LISTED)
            if not one.status.is_active
        ]
        if over:
            if active is None:
                _show_last(over[0])
            _show_history(core, over)


def _show_last(last: Rollout) -> None:
    when = words.when(last.ended_at, datetime.now(UTC)) if last.ended_at else ""
    by, because = words.plain(last.ended_by or ""), words.plain(last.end_reason)
    if last.status is RolloutStatus.ROLLED_BACK:
        st.warning(
            f"v{last.version} was rolled back at {percent(last.share)}, {when}: {because} "
            f"v{last.incumbent_version} answers every request.",
            icon=":material/undo:",
        )
    elif last.status is RolloutStatus.DONE:
        st.caption(f"Last rollout: v{last.version} came through all steps, {when}. {because}")
    else:
        kind = "canary" if last.kind is RolloutKind.CANARY else "shadow"
        st.caption(f"Last rollout: the {kind} v{last.version} was ended by {by}, {when}: {because}")


def _show_history(core: Pilothouse, over: Sequence[Rollout]) -> None:
    when = DatetimeColumn(format="YYYY-MM-DD HH:mm", timezone="UTC")
    with st.expander("Rollouts before", icon=":material/history:"):
        st.dataframe(
            rollouts_frame(over),
            hide_index=True,
            column_config={
                "Version": TextColumn(pinned=True),
                "From (UTC)": when,
                "To (UTC)": when,
                "Ended because": TextColumn(width="large"),
            },
            placeholder="",
            key="rollouts-before",
        )
        by_id = {one.id: one for one in over}
        picked = st.selectbox(
            "What was measured of",
            list(by_id),
            index=None,
            format_func=lambda id_: _name(by_id[id_]),
            placeholder="Choose a rollout",
            key="rollout-measured",
        )
        if picked in by_id:
            _show_result(core.rollouts.view(by_id[picked]))


def _show_result(view: RolloutView) -> None:
    if view.rollout.kind is RolloutKind.CANARY:
        show_canary_result(view)
    else:
        show_shadow_result(view)


def _name(rollout: Rollout) -> str:
    began = words.utc(rollout.started_at).strftime("%Y-%m-%d %H:%M")
    return f"{rollout.kind.value} v{rollout.version}, {began} UTC {status_word(rollout.status)}"
