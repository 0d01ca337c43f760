"""What the door asks the core about people."""

from __future__ import annotations

from typing import Protocol

from app.access.sessions import Session
from core.access.account import Account
from core.access.roles import Mode


class Accounts(Protocol):
    """What is known of people; ``AccountService`` is that."""

    @property
    def mode(self) -> Mode:
        """How people are known now."""

    def sign_in(self, token: str) -> Account:
        """Knows somebody by their token and records it, or raises ``SignInError``."""

    def find(self, name: str) -> Account | None:
        """An account that may be used."""

    def token_mark(self, name: str) -> str:
        """A sign of the current token; empty where there is none."""


def account_of(session: Session, accounts: Accounts) -> Account | None:
    """Whose session it is; ``None`` if the person was removed or has another token by now."""
    account = accounts.find(session.name)
    if account is None or not session.mark or accounts.token_mark(session.name) != session.mark:
        return None
    return account
