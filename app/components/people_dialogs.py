"""What an admin does with accounts: each asks first, and shows a token once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from app.access.visitor import follow_token
from app.components import installation, rights, words
from app.components.failures import guarded
from app.components.role_table import additions
from core.access.rights import may
from core.access.roles import Role
from core.promotion.audit import Action

if TYPE_CHECKING:
    from core.access.account import Account
    from core.access.accounts import NewToken
    from core.bootstrap import Pilothouse

# What is open stays open while its form is filled in, whatever else is drawn anew.
_OPEN = "people-dialog"


def begin(doing: str, name: str = "") -> None:
    """Opens a dialog with the next page: ``add``, ``role``, ``token`` or ``remove``."""
    st.session_state[_OPEN] = (doing, name)


def _close() -> None:
    st.session_state.pop(_OPEN, None)


def show(core: Pilothouse) -> None:
    """Draws the dialog that is open."""
    doing, name = st.session_state.get(_OPEN, ("", ""))
    if doing == "add":
        _add(core)
        return
    account = core.accounts.find(name) if name else None
    if account is None:
        _close()
    elif doing == "role":
        _change_role(core, account)
    elif doing == "token":
        _issue_token(core, account)
    elif doing == "remove":
        _remove(core, account)


@st.dialog("Add an account", on_dismiss=_close)
def _add(core: Pilothouse) -> None:
    place = st.empty()
    with place.form("add-account", border=False):
        name = st.text_input(
            "Name of the account",
            placeholder="anna",
            help="Small letters, digits and . _ @ + -; kept for ever",
        )
        role = st.radio(
            "Role",
            list(Role),
            format_func=lambda one: one.value,
            captions=list(additions().values()),
            index=0,
        )
        added = st.form_submit_button("Add", type="primary", **rights.needs(Action.ACCOUNT_ADDED))
    if added and role is not None:
        with guarded():
            issued = core.accounts.add(name, role, actor=installation.actor())
            place.empty()
            _show_token(issued)


@st.dialog("Change the role", on_dismiss=_close)
def _change_role(core: Pilothouse, account: Account) -> None:
    name = words.plain(account.name)
    st.markdown(f"**{name}** is {account.role.value}.")
    role = st.radio(
        "Role",
        list(Role),
        format_func=lambda one: one.value,
        captions=list(additions().values()),
        index=list(Role).index(account.role),
        key=f"role-of-{account.name}",
    )
    st.caption(
        f"It counts from {name}'s next action on; pages that are open follow within seconds. What "
        "was done under the role before stays in the records as it was."
    )
    needs = rights.needs(Action.ROLE_CHANGED, disabled=role is account.role)
    if st.button("Change the role", type="primary", key="change-role", **needs) and role:
        with guarded():
            core.accounts.change_role(account.name, role, actor=installation.actor())
            _done()


@st.dialog("New token", on_dismiss=_close)
def _issue_token(core: Pilothouse, account: Account) -> None:
    name = words.plain(account.name)
    place = st.empty()
    with place.container():
        st.markdown(
            f"The token that **{name}** has now ends: whoever signed in with it is out within "
            "seconds, and scripts that use it are refused. You see the new one and hand it over."
        )
        issued = st.button("Make a new token", type="primary", **rights.needs(Action.TOKEN_ISSUED))
    if issued:
        with guarded():
            actor = installation.actor()
            token = core.accounts.issue_token(account.name, actor=actor)
            if account.name == actor:
                # Otherwise they were out before they have read it.
                follow_token(core, actor)
            place.empty()
            _show_token(token)


@st.dialog("Remove an account", on_dismiss=_close)
def _remove(core: Pilothouse, account: Account) -> None:
    name = words.plain(account.name)
    st.markdown(
        f"**{name}** is out within seconds: pages show nothing any more, the token is refused, and "
        "whatever is tried is refused. Runs that go on are not stopped, and what was done stays in "
        "the records under this name. Adding the name again later gives it a new token."
    )
    needs = rights.needs(Action.ACCOUNT_REMOVED)
    if st.button(f"Remove {name}", type="primary", icon=":material/person_remove:", **needs):
        with guarded():
            core.accounts.remove(account.name, actor=installation.actor())
            _done()


def _done() -> None:
    _close()
    st.rerun()


def _show_token(issued: NewToken) -> None:
    """Draws a token, which is nowhere but on this screen."""
    name = words.plain(issued.account.name)
    st.markdown(f"The token of **{name}**, {issued.account.role.value}, shown this once:")
    st.code(issued.token, language=None, wrap_lines=True)
    said = (
        f"{name} signs in to the panel with it, and uses it on the command line as "
        "`PILOTHOUSE_TOKEN`. It is kept nowhere; who loses it needs a new one. You know it as well"
    )
    if may(issued.account.role, Action.APPROVAL_GIVEN):
        said += f", so until {name} renews it, {name} cannot approve what you started or asked for"
    st.caption(f"{said}.")
    st.button("Done", on_click=_close, key="token-done")
