"""What whoever sits before a page may do, and what a button looks like that they may not press.

The core refuses an action wherever it comes from; here it is only said beforehand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

import streamlit as st

from app.components import installation, words
from core.access.rights import Standing
from core.promotion.audit import Action

if TYPE_CHECKING:
    from core.bootstrap import Pilothouse

_KEY = "standing"


class Bar(TypedDict):
    """Arguments of a button, form button or popover."""

    disabled: bool
    help: str | None


def read(core: Pilothouse) -> None:
    """Reads them, once for all buttons; a fragment with buttons does so each time."""
    st.session_state[_KEY] = core.accounts.standing(installation.actor())


def standing() -> Standing:
    """What was read for this page."""
    known: Standing = st.session_state[_KEY]
    return known


def needs(action: Action, *, disabled: bool = False, help: str | None = None) -> Bar:
    """What a button of an action gets: who may not do it sees why, and cannot press it.

    Args:
        action: what the button does.
        disabled: whether something else keeps it from being pressed.
        help: what it says to those who may.
    """
    refusal = standing().lacks(action)
    if refusal:
        return {"disabled": True, "help": words.plain(refusal)}
    return {"disabled": disabled, "help": help}
