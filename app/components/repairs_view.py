"""What the worker had to repair in serving, and what replicas can be held to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from app.components import words
from core.deployment.last_repair import last_repair, remark_on_files
from core.promotion.audit import Outcome

if TYPE_CHECKING:
    from core.bootstrap import Pilothouse


def show_repairs(core: Pilothouse, problem: str) -> None:
    """Draws the last repair of a problem, if there was one; raises what cannot be read."""
    entry = last_repair(core.audit, problem)
    if entry is not None:
        said = f"Last repair, {entry.at:%Y-%m-%d %H:%M} UTC: {words.plain(entry.headline)}"
        if entry.outcome == Outcome.FAILED:
            st.warning(said, icon=":material/build:")
        else:
            st.caption(said)
    remark = remark_on_files(core.promotions.production(problem))
    if remark:
        st.caption(remark)
