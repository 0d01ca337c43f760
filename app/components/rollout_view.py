"""Whether replicas answer with what was decided: progress until they do."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import streamlit as st

from app.components import installation, words
from app.components.failures import guarded
from app.components.live import REFRESH_S
from core.domain import Promotion

if TYPE_CHECKING:
    from core.bootstrap import Pilothouse


def show_rollout(core: Pilothouse, own: Promotion) -> None:
    """Draws whether a promotion serves; follows it until it does."""
    newest = core.promotions.history(own.problem)[0]
    if own.id == newest.id:
        show_switch(own)
    else:
        st.caption(f"Since then v{newest.version} has become Production.")


def show_switch(promotion: Promotion) -> None:
    """Draws since when replicas answer with the newest promotion, or that they will."""
    if promotion.live_at is None or promotion.answering_after_s is None:
        _follow(promotion.problem, promotion.id)
    else:
        st.caption(
            f"v{promotion.version} answers since {words.clock(promotion.live_at)}, "
            f"{promotion.answering_after_s:.1f} s after the decision."
        )


@st.fragment(run_every=REFRESH_S)
def _follow(problem: str, promotion_id: str) -> None:
    with guarded():
        core = installation.pilothouse()
        promotion = core.promotions.history(problem)[0]
        if promotion.id != promotion_id or promotion.live_at is not None:
            # What follows is drawn outside this fragment.
            st.rerun()
        waited_s = (datetime.now(UTC) - words.utc(promotion.since)).total_seconds()
        st.progress(
            _share(waited_s),
            text=f"v{promotion.version} is Production; replicas load it, for {waited_s:.0f} s now. "
            "Until then the version before goes on answering.",
        )
        status = core.serving.status()
        if problem in status.failures:
            st.warning(words.plain(status.failures[problem]), icon=":material/warning:")


def _share(waited_s: float) -> float:
    """How full the bar is: nobody knows how long it takes, so it slows down and never ends."""
    return waited_s / (waited_s + 10.0) if waited_s > 0 else 0.0
