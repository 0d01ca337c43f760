"""Who those are that act: the local operator, or people with accounts or a login."""

from __future__ import annotations

from core.access.rights import EVERY_ACTION, Standing, allowed_to, allowed_to_host
from core.access.roles import Mode, Role
from core.adapters.database_accounts import AccountRecords
from core.data.labels import BY_HTTP
from core.promotion.audit import Action
from core.promotion.identity import LOCAL_ROLE, SYSTEM_ACTORS, SYSTEM_ROLE

#: Whoever runs a command without a token where people have accounts: the owner of the files.
HOST = "host"
HOST_ROLE, NOBODY = "host", "nobody"
RESERVED = frozenset({*SYSTEM_ACTORS, HOST, NOBODY, BY_HTTP})


class People:
    """What is known of those who act, read anew each time: a removed person is out at once."""

    def __init__(self, records: AccountRecords, *, has_login: bool) -> None:
        self._records = records
        self._has_login = has_login

    @property
    def told_apart(self) -> bool:
        """Whether people sign in."""
        return mode_of(self._records, has_login=self._has_login) is not Mode.LOCAL

    def role_of(self, actor: str) -> str:
        """The role under which an actor acts now, as the audit trail keeps it."""
        return self.standing(actor).role

    def lacks(self, actor: str, action: Action) -> str:
        """Why an actor has no right to an action, as one sentence; empty if they have."""
        return self.standing(actor).lacks(action)

    def standing(self, actor: str) -> Standing:
        """What an actor may do now."""
        if actor in SYSTEM_ACTORS:
            return Standing(actor, SYSTEM_ROLE, EVERY_ACTION)
        if not self.told_apart:
            return Standing(actor, LOCAL_ROLE, EVERY_ACTION)
        if actor == HOST:
            allowed = allowed_to_host(has_admin=self._records.has_admin())
            return Standing(actor, HOST_ROLE, allowed, "nobody has signed in with a token")
        account = self._records.active(actor)
        if account is None:
            why_not = f"{actor} has no account, or it was removed"
            return Standing(actor, NOBODY, frozenset(), why_not)
        role = account.role
        return Standing(actor, role.value, allowed_to(role), f"{actor} is {_a(role)}")

    def token_known_to(self, actor: str) -> str:
        """Who else knows the token by which an actor signs in; empty where nobody does."""
        account = self._records.active(actor) if self.told_apart else None
        if account is None or account.token_issued_by in ("", actor):
            return ""
        return account.token_issued_by


def mode_of(records: AccountRecords, *, has_login: bool) -> Mode:
    """How people are known now."""
    if has_login:
        return Mode.OIDC
    return Mode.ACCOUNTS if records.any_active() else Mode.LOCAL


def _a(role: Role) -> str:
    return f"{'a' if role is Role.VIEWER else 'an'} {role.value}"
