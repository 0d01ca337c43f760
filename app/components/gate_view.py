"""Gates on the screen, the same on every page."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from app.components import words
from app.components.status import verdict_mark
from core.domain import GateResult, Verdict

_ORDER = (Verdict.FAIL, Verdict.CANNOT_TELL, Verdict.PASS)


def show_gates(gates: Sequence[GateResult]) -> None:
    """Draws every gate with its reason, those that speak against the candidate first."""
    if not gates:
        st.caption("No gate has judged this version.")
    for gate in sorted(gates, key=lambda one: _ORDER.index(one.verdict)):
        hard = " (hard)" if gate.hard else ""
        said = f"**{words.plain(gate.gate)}**{hard}: {words.plain(gate.reason)}"
        st.markdown(f"{verdict_mark(gate.verdict)} {said}")
