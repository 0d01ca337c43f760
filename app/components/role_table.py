"""What each role may do, as a table."""

from __future__ import annotations

import pandas as pd
import streamlit as st
from streamlit.column_config import TextColumn

from app.components import rights
from core.access.rights import IN_WORDS, may
from core.access.roles import Role

_YES = "✓"


def show_roles() -> None:
    """Draws the table of rights, and where the reader stands in it."""
    st.subheader("Roles")
    st.caption(
        "Each role may do what those before it may, and everybody may read everything. Four eyes "
        "hold for every role: nobody approves what they started or asked for."
    )
    st.dataframe(
        roles_frame(),
        hide_index=True,
        height="content",
        column_config={
            "May": TextColumn(width="large", pinned=True),
            **{name: TextColumn(width="small") for name in (role.value for role in Role)},
        },
    )
    st.caption(f"You act under the role **{rights.standing().role}**.")


def roles_frame() -> pd.DataFrame:
    """The table of rights, one row for what people call one thing."""
    rows = [{"May": "read everything", **{role.value: _YES for role in Role}}]
    for doing, actions in IN_WORDS.items():
        who = {role: all(may(role, action) for action in actions) for role in Role}
        rows.append({"May": doing, **{role.value: _YES * is_able for role, is_able in who.items()}})
    return pd.DataFrame(rows)
