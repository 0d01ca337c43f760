"""Accounts in memory, as the door of the panel asks for them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from core.access.account import Account, Source
from core.access.rights import Standing, allowed_to
from core.access.roles import Mode, Role
from core.errors import SignInError
from core.promotion.identity import OneLocalOperator


@dataclass(frozen=True)
class FakeToken:
    account: Account
    token: str


@dataclass
class FakeAccounts:
    """A token is ``NAME-NUMBER``; its mark is the token's number."""

    mode: Mode = Mode.LOCAL
    people: dict[str, Account] = field(default_factory=dict)
    marks: dict[str, int] = field(default_factory=dict)
    logins: list[tuple[str, Role]] = field(default_factory=list)

    def give(self, name: str, role: Role, *, issued_by: str = "host") -> str:
        """Adds somebody and returns the token."""
        self.people[name] = Account(
            name, role, Source.ACCOUNT, datetime.now(UTC), "host", token_issued_by=issued_by
        )
        self.marks[name] = self.marks.get(name, 0) + 1
        return f"{name}-{self.marks[name]}"

    def sign_in(self, token: str) -> Account:
        name, _, mark = token.strip().rpartition("-")
        if name not in self.people or mark != str(self.marks[name]):
            raise SignInError("This token is not valid, or not any more.", fix="Ask an admin.")
        return self.people[name]

    def standing(self, actor: str) -> Standing:
        if self.mode is Mode.LOCAL:
            return OneLocalOperator().standing(actor)
        role = self.people[actor].role
        return Standing(actor, role.value, allowed_to(role), f"{actor} is {role.value}")

    def find(self, name: str) -> Account | None:
        return self.people.get(name)

    def token_mark(self, name: str) -> str:
        return str(self.marks[name]) if name in self.people else ""

    def issue_token(self, name: str, *, actor: str) -> FakeToken:
        account = replace(self.people[name], token_issued_by=actor)
        token = self.give(name, account.role, issued_by=actor)
        return FakeToken(account, token)

    def seen_by_login(self, name: str, role: Role) -> Account:
        self.logins.append((name, role))
        if self.marks.get(name) == 0:
            raise SignInError(f"{name} was removed from this installation.", fix="Ask an admin.")
        self.people[name] = Account(name, role, Source.LOGIN, datetime.now(UTC), "login")
        return self.people[name]
