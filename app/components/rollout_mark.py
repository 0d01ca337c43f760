"""A rollout and a spent error budget in a badge each, for pages that are about more than that."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from app.components.failures import Failure, attempt, show_failure
from app.rollout.figures import percent
from core.rollout.values import RolloutKind, RolloutStatus

if TYPE_CHECKING:
    from core.bootstrap import Pilothouse


def rollout_mark(core: Pilothouse, problem: str) -> None:
    """Draws a badge for the active rollout of a problem, and one for a spent budget."""
    active = attempt(lambda: core.rollouts.active(problem))
    if isinstance(active, Failure):
        show_failure(active)
    elif active is not None and active.kind is RolloutKind.SHADOW:
        st.badge(f"Shadow v{active.version}", color="blue", icon=":material/visibility:")
    elif active is not None:
        held = " held" if active.status is RolloutStatus.HELD else ""
        st.badge(
            f"Canary v{active.version} at {percent(active.share)}{held}",
            color="orange" if held else "blue",
            icon=":material/stairs:",
        )
    budget = attempt(lambda: core.slo.look(problem))
    if isinstance(budget, Failure):
        show_failure(budget)
    elif budget is not None and budget.is_spent:
        st.badge("Error budget spent", color="red", icon=":material/error:")
