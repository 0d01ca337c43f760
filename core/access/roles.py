"""Roles of people: a ladder, each with the rights of those below it."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """What somebody may do, from least to most."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    APPROVER = "approver"
    ADMIN = "admin"

    def includes(self, other: Role) -> bool:
        """Whether whoever has this role may do what the other may."""
        ladder = list(Role)
        return ladder.index(self) >= ladder.index(other)


class Mode(StrEnum):
    """How people are known."""

    #: Nothing is configured: whoever is at this machine is the one local operator.
    LOCAL = "local"
    #: Accounts in Pilothouse's own database.
    ACCOUNTS = "accounts"
    #: A provider of OpenID Connect; accounts' tokens are for the command line.
    OIDC = "oidc"
