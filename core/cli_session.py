"""Who runs a command: the local operator, whoever a token belongs to, or nobody."""

from __future__ import annotations

from typing import NamedTuple

from core.access.people import HOST
from core.access.roles import Mode
from core.bootstrap import Pilothouse, connect
from core.errors import SignInError


class Session(NamedTuple):
    """An installation, and who acts on it."""

    pilothouse: Pilothouse
    actor: str


def sign_in() -> Session:
    """Connects as whoever may: every command but those of the host itself begins here.

    Raises:
        SignInError: people have accounts here, and no valid token was given.
    """
    session = host_session()
    if session.actor == HOST:
        raise SignInError(
            "People sign in here, and no token was given.",
            fix="Set PILOTHOUSE_TOKEN, or PILOTHOUSE_TOKEN_FILE, to the token of your account.",
        )
    return session


def host_session() -> Session:
    """Connects also without a token, as the owner of the installation's files.

    Raises:
        SignInError: the token that was given is not valid.
    """
    return session_of(connect())


def session_of(pilothouse: Pilothouse) -> Session:
    """Who acts by the token of this command's environment.

    Raises:
        SignInError: the token that was given is not valid.
    """
    if pilothouse.accounts.mode is Mode.LOCAL:
        return Session(pilothouse, pilothouse.settings.operator)
    token = pilothouse.settings.given_token
    if not token:
        return Session(pilothouse, HOST)
    return Session(pilothouse, pilothouse.accounts.authenticate(token).name)
