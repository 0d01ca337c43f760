"""Who acts: said in the sidebar, asked for where nobody is known, and watched all the time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from app.access.visitor import OldLoginError, Visitor, follow_token, leave, visitor
from app.components import words
from app.components.failures import failure_from, guarded, show_failure
from core.access.roles import Mode
from core.errors import InvalidInputError, PilothouseError, SignInError

if TYPE_CHECKING:
    from core.bootstrap import Pilothouse

#: A person who was removed, or has another role, is noticed after this time.
WATCH_S = 1.5


def admit(core: Pilothouse) -> Visitor | None:
    """Returns who sits before the page; where nobody may, draws why and the way in."""
    try:
        return visitor(core)
    except (SignInError, InvalidInputError) as exc:
        if core.accounts.mode is Mode.ACCOUNTS:
            st.caption("You are signed out. The sign-in page comes at once.")
            leave()
        else:
            _show_login(exc)
    return None


def _show_login(exc: SignInError | InvalidInputError) -> None:
    with st.container(width=440):
        st.title("Sign in")
        if isinstance(exc, OldLoginError):
            st.markdown(words.plain(exc.message))
            if st.button("Sign in", type="primary", icon=":material/login:"):
                st.login()
            return
        show_failure(failure_from(exc))
        if st.button("Sign out", icon=":material/logout:"):
            leave()


@st.fragment(run_every=WATCH_S)
def watch(core: Pilothouse, seen: Visitor) -> None:
    """Draws the page anew as soon as somebody else, or nobody, may sit before it."""
    if _now(core) != seen:
        st.rerun()


def _now(core: Pilothouse) -> Visitor | None:
    try:
        return visitor(core)
    except PilothouseError:
        return None


def show_visitor(core: Pilothouse, who: Visitor) -> None:
    """Draws who acts, under which role and how that is known, and the way out."""
    if who.mode is Mode.LOCAL:
        _show_local(core)
        return
    name = words.plain(who.name)
    st.caption(f"You act as **{name}**, role {who.role}: {_how(who)}.")
    with st.container(horizontal=True):
        if st.button("Sign out", icon=":material/logout:", type="tertiary"):
            leave()
        if who.mode is Mode.ACCOUNTS and st.button(
            "Renew my token", icon=":material/key:", type="tertiary"
        ):
            renew_token(core, who.name)


def _show_local(core: Pilothouse) -> None:
    settings = core.settings
    name = words.plain(settings.operator)
    if settings.is_loopback:
        st.caption(f"You act as **{name}**: one local operator, loopback only.")
    else:
        st.warning(
            f"You act as **{name}**, without a login, and {settings.host} can be "
            "reached from other machines: whoever opens this page can do the same.",
            icon=":material/lock_open:",
        )


def _how(who: Visitor) -> str:
    if who.mode is Mode.OIDC:
        return "the provider of logins says so"
    if who.token_issued_by in ("", who.name):
        return "signed in with a token that only you know"
    issuer = words.plain(who.token_issued_by)
    return f"signed in with a token that **{issuer}** has made and knows as well"


@st.dialog("Renew my token")
def renew_token(core: Pilothouse, name: str) -> None:
    """Gives whoever sits before the page a token that nobody else knows."""
    st.markdown(
        "Whoever made a token for somebody knows it. One that you renew yourself is known to you "
        "alone. The token before it ends at once, and with it every other session of yours."
    )
    if not st.button("Renew", type="primary"):
        return
    with guarded():
        token = core.accounts.issue_token(name, actor=name).token
        follow_token(core, name)
        st.code(token, language=None, wrap_lines=True)
        st.caption(
            "It is shown this once and kept nowhere. It signs you in here, and on the command "
            "line as `PILOTHOUSE_TOKEN`."
        )
