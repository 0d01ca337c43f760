"""Notices that requests or rollouts are not what Approvals has drawn, and draws it anew."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import streamlit as st

from app.components import installation
from app.components.failures import guarded
from core.domain import PromotionRequest

if TYPE_CHECKING:
    from core.bootstrap import Pilothouse

REFRESH_S = 5.0
#: The newest requests, which are looked at again and again; older ones were decided long ago.
_WATCHED = 100

Standing = tuple[tuple[object, ...], ...]


def standing(core: Pilothouse, requests: Sequence[PromotionRequest]) -> Standing:
    """What others change of what the page draws of these requests."""
    active = [core.rollouts.active(name) for name in core.problems]
    return (
        *((one.id, one.status) for one in requests[:_WATCHED]),
        *((one.id, one.step, one.status) for one in active if one is not None),
    )


@st.fragment(run_every=REFRESH_S)
def watch(seen: Standing, query: str, shown: str) -> None:
    """Draws the page anew as soon as something stands otherwise.

    Args:
        seen: how it stood when the page was drawn.
        query: name in the address of the request in view.
        shown: id of that request; empty if there is none.
    """
    with guarded():
        core = installation.pilothouse()
        if standing(core, core.promotions.requests(limit=_WATCHED)) != seen:
            if shown:
                # It stays in view, and with it a reason half typed, when another one waits too.
                st.query_params[query] = shown
            st.rerun()
