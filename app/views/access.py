"""Access: who may sign in, which keys there are, what each role may do, one's own account."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from app.components import installation, rights, words
from app.components.account_view import show_own_account, show_steps_up
from app.components.failures import Failure, attempt, guarded, show_failure
from app.components.keys_view import show_keys
from app.components.people_view import show_people
from app.components.role_table import show_roles
from core.access.roles import Mode, Role
from core.promotion.audit import Action

if TYPE_CHECKING:
    from core.bootstrap import Pilothouse


def render() -> None:
    """Draws the page."""
    st.title("Access")
    core = installation.pilothouse()
    mode = attempt(lambda: core.accounts.mode)
    if isinstance(mode, Failure):
        show_failure(mode)
        return
    with guarded():
        if mode is Mode.LOCAL:
            show_steps_up(core)
        else:
            show_own_account(core, mode)
    if mode is not Mode.LOCAL:
        with guarded():
            _show_people(core, mode)
    if not rights.standing().lacks(Action.KEY_MADE):
        with guarded():
            show_keys(core)
    with guarded():
        show_roles()


def _show_people(core: Pilothouse, mode: Mode) -> None:
    st.subheader("People")
    refusal = rights.standing().lacks(Action.ACCOUNT_ADDED)
    if not refusal:
        show_people(core, mode)
        return
    everybody = core.accounts.list()
    admins = [one.name for one in everybody if one.is_active and one.role is Role.ADMIN]
    named = f": {words.plain(', '.join(admins))}" if admins else ""
    st.info(
        "Accounts and keys of the served models are managed by those with the role admin. For more "
        f"than your role may, ask one of them{named}.",
        icon=":material/admin_panel_settings:",
    )


if __name__ == "__main__":
    render()
