"""Who sits before a page, found out anew whenever the page is drawn."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from app.access.admitted import admitted
from app.access.known import account_of
from app.access.sessions import sessions
from core.access.account import Account
from core.access.claims import Known, Unknown, read_claims
from core.access.login import rules_of
from core.access.roles import Mode, Role
from core.errors import PilothouseError, SignInError

if TYPE_CHECKING:
    from core.bootstrap import Pilothouse

#: What a login says is written into the database at most this often for each person.
_SEEN_EVERY_S = 10.0


@dataclass(frozen=True)
class Visitor:
    """Somebody who may see the panel."""

    name: str
    mode: Mode
    #: ``None`` for the one local operator, who has every right.
    role: Role | None = None
    #: Who made the token that this person signed in with; empty where there is none.
    token_issued_by: str = field(default="", compare=False)


class OldLoginError(SignInError):
    """A login was fine and is over; another one will do."""


def visitor(core: Pilothouse) -> Visitor:
    """Tells who sits before the page of this script run.

    Raises:
        SignInError: nobody who may; it says why, as far as that is known.
    """
    mode = core.accounts.mode
    if mode is Mode.LOCAL:
        return Visitor(core.settings.operator, mode)
    try:
        return _by_cookie(core) if mode is Mode.ACCOUNTS else _by_login(core)
    except PilothouseError:
        if context := get_script_run_ctx():
            admitted().drop(context.session_id)
        raise


def leave() -> None:
    """Signs out the person before this page, on all pages that share the session."""
    if claims := _claims():
        sessions().end(_login_id(claims))
    # Leads the browser to the door, which ends a session of its own there.
    st.logout()


def follow_token(core: Pilothouse, name: str) -> None:
    """Keeps the session of this page although its person has another token now."""
    if session := sessions().read(st.context.cookies.get(sessions().cookie)):
        sessions().follow(session.id, core.accounts.token_mark(name))


def _by_cookie(core: Pilothouse) -> Visitor:
    session = sessions().read(st.context.cookies.get(sessions().cookie))
    account = account_of(session, core.accounts) if session else None
    if account is None:
        raise SignInError("You are signed out.", fix="Sign in again.")
    return _visitor(account, Mode.ACCOUNTS)


def _by_login(core: Pilothouse) -> Visitor:
    claims = _claims()
    if not claims or sessions().is_ended(_login_id(claims)):
        raise OldLoginError("Your provider of logins tells Pilothouse who you are.")
    said = read_claims(claims, rules_of(core.settings), datetime.now(UTC))
    if isinstance(said, Unknown):
        raise (OldLoginError if said.is_old else SignInError)(said.why, fix=said.fix)
    account = _seen().account(core, said)
    if context := get_script_run_ctx():
        admitted().add(context.session_id)
    return _visitor(account, Mode.OIDC)


def _visitor(account: Account, mode: Mode) -> Visitor:
    return Visitor(account.name, mode, account.role, account.token_issued_by)


def _claims() -> Mapping[str, object]:
    """What the provider has said of whoever sits here; empty before that."""
    said = st.user.to_dict()
    return said if said.get("is_logged_in") else {}


def _login_id(claims: Mapping[str, object]) -> str:
    return f"{claims.get('iss')} {claims.get('sub')} {claims.get('iat')}"


class Seen:
    """Those who logged in, and when that was last written down: a page asks many times."""

    def __init__(self) -> None:
        self._newest: dict[str, Known] = {}
        self._at: dict[str, float] = {}
        self._lock = threading.Lock()

    def account(self, core: Pilothouse, known: Known) -> Account:
        """The account of somebody whom the provider vouches for.

        Raises:
            InvalidInputError: the name cannot be used here.
            SignInError: an admin has removed this person, or a newer login gave another role.
        """
        with self._lock:
            newest = self._newest.get(known.name, known)
            if known.since < newest.since and known.role is not newest.role:
                raise OldLoginError("Your role has changed since this login.", fix="Sign in again.")
            account = core.accounts.find(known.name)
            is_fresh = time.monotonic() - self._at.get(known.name, -_SEEN_EVERY_S) < _SEEN_EVERY_S
            if account is not None and is_fresh and account.role is known.role:
                return account
            account = core.accounts.seen_by_login(known.name, known.role)
            self._newest[known.name] = max(known, newest, key=lambda one: one.since)
            self._at[known.name] = time.monotonic()
            return account


@cache
def _seen() -> Seen:
    return Seen()
