"""Whether four eyes are in force, said wherever a version is put into Production."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from app.components import words
from core.promotion.four_eyes import IN_FORCE

if TYPE_CHECKING:
    from core.bootstrap import Pilothouse

_IN_FORCE = "whoever started the run or asked for the promotion cannot approve it."
_NOT_IN_FORCE = (
    "people cannot be told apart here, so whoever started a run can also approve its version. "
    "Every decision is recorded with that."
)


def show_four_eyes(core: Pilothouse, *, rollback: bool = False) -> None:
    """Draws the rule as one sentence; a ``rollback`` does not ask for it."""
    standing = core.promotions.four_eyes
    said = _IN_FORCE if standing == IN_FORCE else _NOT_IN_FORCE
    if rollback and standing == IN_FORCE:
        said += " Going back asks for one person and a reason."
    st.caption(f"**Four eyes are {words.plain(standing)}**: {said}")
