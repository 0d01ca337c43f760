"""One's own account, and the ways from one local operator to people with names."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import streamlit as st

from app.components import installation, rights, who, words
from core.access.account import Account, Source
from core.access.rights import may
from core.access.roles import Mode
from core.promotion.audit import Action

if TYPE_CHECKING:
    from core.bootstrap import Pilothouse

_LOGIN_SETTINGS = """\
export PILOTHOUSE_PANEL_PUBLIC_URL=https://panel.example.com
export PILOTHOUSE_OIDC_METADATA_URL=https://login.example.com/.well-known/openid-configuration
export PILOTHOUSE_OIDC_CLIENT_ID=pilothouse
export PILOTHOUSE_OIDC_CLIENT_SECRET_FILE=/etc/pilothouse/oidc-secret
export PILOTHOUSE_OIDC_ROLE_CLAIM=groups
export PILOTHOUSE_OIDC_ROLES=ml-ops=operator,ml-leads=approver,ml-admins=admin
make down up"""


def show_own_account(core: Pilothouse, mode: Mode) -> None:
    """Draws the account of whoever sits before the page."""
    name = installation.actor()
    account = core.accounts.find(name)
    with st.container(border=True):
        if account is None:
            st.markdown(f"**{words.plain(name)}** has no account here.")
            return
        st.markdown(f"You are **{words.plain(name)}**, role **{account.role.value}**.")
        st.caption(words.plain(_how_known(account, mode, datetime.now(UTC))))
        # Those who sign in with a token renew it in the sidebar.
        if mode is Mode.OIDC and st.button(
            "Token for the command line",
            icon=":material/key:",
            **rights.needs(Action.TOKEN_RENEWED),
        ):
            who.renew_token(core, name)


def _how_known(account: Account, mode: Mode, now: datetime) -> str:
    said = [f"Added {words.when(account.created_at, now)} by {account.created_by}."]
    if account.source is Source.LOGIN:
        said.append("The role comes from the provider of logins.")
    if account.token_issued_by == account.name:
        said.append("Only you know your token.")
    elif account.token_issued_by:
        said.append(f"{account.token_issued_by} made your token and knows it.")
        if may(account.role, Action.APPROVAL_GIVEN):
            who_knows = account.token_issued_by
            said.append(
                f"Until you renew it, you cannot approve what {who_knows} started or asked for."
            )
    elif mode is Mode.OIDC:
        said.append("You have no token for the command line.")
    return " ".join(said)


def show_steps_up(core: Pilothouse) -> None:
    """Draws how an installation with one local operator comes to know people by name."""
    operator = words.plain(core.settings.operator)
    st.markdown(
        f"Nothing is configured, so whoever opens this page is **{operator}**, the one local "
        "operator, and may do everything. There are three steps; this is the first."
    )
    with st.container(border=True):
        st.markdown("**1. One local operator**: now")
        st.caption(
            "For a laptop. Records name the operator, and four eyes are not in force: nobody can "
            "be told from anybody else. Another name in the records:"
        )
        st.code("PILOTHOUSE_OPERATOR=anna make up", language="bash")
    with st.container(border=True):
        st.markdown("**2. Accounts**")
        st.caption(
            "For a team. Everybody signs in with a token of their own, in the panel and on the "
            "command line, has a role, and four eyes are in force. Begin with an admin. From then "
            "on this page asks who you are, and the admin adds the others here."
        )
        st.code("pilothouse users add anna --role admin", language="bash")
    with st.container(border=True):
        st.markdown("**3. Login**")
        st.caption(
            "For an organisation that has a provider of OpenID Connect. People sign in there, and "
            "their roles come from it. docs/access.md explains each setting."
        )
        st.code(_LOGIN_SETTINGS, language="bash", wrap_lines=True)
