"""What each role may do, in words."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from app.components import rights
from core.access.rights import IN_WORDS, may
from core.access.roles import Role


def show_roles() -> None:
    """Draws the table of rights, and where the reader stands in it."""
    st.subheader("Roles")
    lines = [f"- **{role.value}**: {added}" for role, added in additions().items()]
    st.markdown("Each role may do what those before it may.\n" + "\n".join(lines))
    st.caption(
        "Four eyes hold for every role: nobody approves what they started or asked for. You act "
        f"under the role **{rights.standing().role}**."
    )


def additions() -> Mapping[Role, str]:
    """What each role may do that the one before it may not."""
    added = {role: ["read everything"] if role is Role.VIEWER else [] for role in Role}
    for doing, actions in IN_WORDS.items():
        least = next(role for role in Role if all(may(role, action) for action in actions))
        added[least].append(doing)
    return {role: "; ".join(doings) for role, doings in added.items()}
