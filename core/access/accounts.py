"""Accounts: who may sign in and what they may do. Every change is in the audit trail."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial

from core.access.account import Account, Source
from core.access.people import RESERVED, mode_of
from core.access.rights import Standing
from core.access.roles import Mode, Role
from core.access.tokens import digest, mark_of, new_token
from core.adapters.database_accounts import AccountRecords
from core.errors import (
    ConflictError,
    InvalidInputError,
    NotFoundError,
    Offence,
    SignInError,
)
from core.promotion.audit import Action
from core.promotion.identity import Identities
from core.promotion.trail import AuditTrail

_NAME = re.compile(r"[a-z0-9][a-z0-9._@+-]{0,63}")
#: When somebody was last seen is written at most this often.
_SEEN_EVERY = timedelta(minutes=1)
_LIST = "`pilothouse users list` shows every account."


@dataclass(frozen=True)
class NewToken:
    """An account with its new token, which is shown once and kept nowhere."""

    account: Account
    token: str

    def __repr__(self) -> str:
        return f"NewToken({self.account.name!r})"


class AccountService:
    """Adds, changes and removes accounts, and knows people by their tokens."""

    def __init__(
        self,
        records: AccountRecords,
        identities: Identities,
        trail: AuditTrail,
        *,
        has_login: bool,
        is_exposed: bool,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Takes the tools.

        ``has_login`` says that a provider of logins is configured, ``is_exposed`` that other
        machines can reach the panel.
        """
        self._has_login = has_login
        self._is_exposed = is_exposed
        self._records = records
        self._identities = identities
        self._trail = trail
        self._clock = clock

    # What there is

    @property
    def mode(self) -> Mode:
        """How people are known now."""
        return mode_of(self._records, has_login=self._has_login)

    def list(self) -> tuple[Account, ...]:
        """Every account by name, removed ones as well."""
        return self._records.list()

    def find(self, name: str) -> Account | None:
        """An account that may be used."""
        return self._records.active(name)

    def role_of(self, actor: str) -> str:
        """The role under which an actor acts now, in words."""
        return self._identities.role_of(actor)

    def standing(self, actor: str) -> Standing:
        """What an actor may do now; read once for all that is asked of it."""
        return self._identities.standing(actor)

    def token_mark(self, name: str) -> str:
        """A sign of the current token, another one for each; empty where there is none."""
        account = self._records.active(name)
        return mark_of(account.token_sha256) if account and account.token_sha256 else ""

    # Signing in

    def authenticate(self, token: str) -> Account:
        """Knows somebody by their token.

        Raises:
            SignInError: it is nobody's.
        """
        account = self._records.by_token(digest(token.strip()))
        if account is None:
            raise SignInError(
                "This token is not valid, or not any more.",
                fix="Ask an admin for a new one: `pilothouse users token NAME`.",
            )
        return self._seen(account)

    def sign_in(self, token: str) -> Account:
        """Knows somebody who comes to the panel with their token; that is in the audit trail.

        Raises:
            SignInError: it is nobody's.
            UnavailableError: the database does not answer.
        """
        account = self.authenticate(token)
        self._tell_sign_in(account.name, f"With a token, as {account.role.value}.")
        return account

    def seen_by_login(self, name: str, role: Role) -> Account:
        """Knows somebody whom the provider of logins has vouched for, under that role.

        Raises:
            InvalidInputError: the name cannot be used here.
            SignInError: an admin has removed this person.
        """
        name = usable_name(name)
        account = self._records.find(name)
        now = self._clock()
        if account is None:
            account = Account(name, role, Source.LOGIN, now, "login", last_seen_at=now)
            self._records.add(account)
            self._tell_sign_in(name, f"The first login, as {role.value}.")
            return account
        if not account.is_active:
            raise SignInError(
                f"{name} was removed from this installation.", fix="Ask an admin to add you again."
            )
        if account.role is not role or account.source is not Source.LOGIN:
            said = f"By the login: {role.value}, before: {account.role.value}."
            account = replace(account, role=role, source=Source.LOGIN)
            self._records.save(account)
            self._tell_sign_in(name, said)
        return self._seen(account)

    def _tell_sign_in(self, name: str, said: str) -> None:
        self._trail.record(Action.SIGNED_IN, actor=name, object=_object(name), detail=said)

    def _seen(self, account: Account) -> Account:
        now = self._clock()
        if account.last_seen_at and now - account.last_seen_at < _SEEN_EVERY:
            return account
        return self._records.note_seen(account, now)

    # Managing

    def add(self, name: str, role: Role, *, actor: str) -> NewToken:
        """Adds an account, or one that was removed again, and issues its token.

        Raises:
            InvalidInputError: the name cannot be used.
            ConflictError: there is such an account.
            ForbiddenError: the actor may not.
        """
        name = usable_name(name)
        now, token = self._clock(), new_token()
        account = Account(
            name, role, Source.ACCOUNT, now, actor, digest(token), token_issued_by=actor
        )
        with self._trail.act(Action.ACCOUNT_ADDED, actor=actor, object=_object(name)) as act:
            removed = self._records.find(name)
            if removed is not None and not removed.is_active:
                self._records.save(account, act.done_with(f"As {role.value}, once more."))
            else:
                self._records.add(account, act.done_with(f"As {role.value}."))
        return NewToken(account, token)

    def change_role(self, name: str, role: Role, *, actor: str) -> Account:
        """Gives an account another role, from its next action on.

        Raises:
            NotFoundError: there is no such account.
            ConflictError: the login gives the role, or no admin would be left.
            ForbiddenError: the actor may not.
        """
        with self._trail.act(Action.ROLE_CHANGED, actor=actor, object=_object(name)) as act:
            account = self._existing(name)
            if account.source is Source.LOGIN:
                raise ConflictError(
                    f"{name} has a role by login.", fix="Change it at the provider of logins."
                )
            changed = replace(account, role=role)
            said = f"From {account.role.value} to {role.value}."
            require = partial(self._require_admin_left, account, role)
            self._records.save(changed, act.done_with(said), require)
        return changed

    def remove(self, name: str, *, actor: str) -> Account:
        """Removes an account: its token and its sessions end, its name stays taken.

        Raises:
            NotFoundError: there is no such account.
            ConflictError: others would be left without an admin.
            ForbiddenError: the actor may not.
        """
        with self._trail.act(Action.ACCOUNT_REMOVED, actor=actor, object=_object(name)) as act:
            account = self._existing(name)
            removed = replace(
                account, token_sha256=None, token_issued_by="", removed_at=self._clock()
            )
            require = partial(self._require_admin_left, account, None)
            self._records.save(removed, act.done_with(f"Was {account.role.value}."), require)
        return removed

    def issue_token(self, name: str, *, actor: str) -> NewToken:
        """Issues a new token in place of the one before; one's own is known to nobody else.

        Raises:
            NotFoundError: there is no such account.
            ForbiddenError: the actor may not.
        """
        action = Action.TOKEN_RENEWED if name == actor else Action.TOKEN_ISSUED
        return self._issue(action, name, actor)

    def recover(self, name: str, *, actor: str) -> NewToken:
        """Issues a new token to an admin who has lost theirs.

        Raises:
            NotFoundError: there is no such account.
            ConflictError: it is no admin's.
            ForbiddenError: the actor may not.
        """
        account = self._records.active(name)
        if account is not None and account.role is not Role.ADMIN:
            raise ConflictError(
                f"{name} is no admin.", fix=f"An admin runs `pilothouse users token {name}`."
            )
        return self._issue(Action.ADMIN_RECOVERED, name, actor)

    def _issue(self, action: Action, name: str, actor: str) -> NewToken:
        with self._trail.act(action, actor=actor, object=_object(name)) as act:
            account, token = self._existing(name), new_token()
            changed = replace(account, token_sha256=digest(token), token_issued_by=actor)
            self._records.save(changed, act.done_with())
        return NewToken(changed, token)

    def _existing(self, name: str) -> Account:
        account = self._records.active(name)
        if account is None:
            raise NotFoundError(f"There is no account {name!r}.", fix=_LIST)
        return account

    def _require_admin_left(
        self, account: Account, role: Role | None, accounts: Sequence[Account]
    ) -> None:
        """The last admin goes last: others would stay whom nobody could manage.

        Where other machines reach the panel nobody goes last: it would be open to everybody.
        """
        others = [one for one in accounts if one.is_active and one.name != account.name]
        admins = [one for one in others if one.role is Role.ADMIN]
        is_needed = others or self._is_exposed
        if account.role is Role.ADMIN and role is not Role.ADMIN and is_needed and not admins:
            raise ConflictError(
                f"{account.name} is the only admin.", fix="Make somebody else an admin first."
            )


def usable_name(name: str) -> str:
    """A name as it is kept: in lower case, so that Anna is anna.

    Raises:
        InvalidInputError: it has other characters than names have, or is the system's own.
    """
    plain = name.strip().casefold()
    if not _NAME.fullmatch(plain):
        raise InvalidInputError(
            f"{name!r} cannot be the name of an account.",
            fix="Use 1 to 64 of a-z, 0-9 and . _ @ + -, and a letter or digit first.",
            offences=[Offence("name", "characters that names do not have, or too many")],
        )
    if plain in RESERVED:
        raise InvalidInputError(
            f"{plain} is a name of the system's own.",
            fix="Choose another name.",
            offences=[Offence("name", "reserved")],
        )
    return plain


def _object(name: str) -> str:
    return f"account {name}"
