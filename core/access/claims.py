"""From what a provider of logins says of somebody to a name and a role. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from core.access.roles import Role

#: A provider's clock may be ahead of ours by this much.
_CLOCKS_APART = timedelta(minutes=2)
_SHOWN_VALUES = 5


@dataclass(frozen=True)
class ClaimRules:
    """Which claims are looked at, and which role their values give."""

    name_claim: str = "email"
    role_claim: str = "roles"
    #: A value of the role claim -> role; empty where the values are the names of roles.
    roles: Mapping[str, Role] = field(default_factory=dict)
    #: For whoever has none of them; ``None`` means that they are refused.
    default_role: Role | None = None
    #: How long a login counts.
    longest: timedelta = timedelta(hours=12)


@dataclass(frozen=True)
class Known:
    """Whom the provider has vouched for."""

    name: str
    role: Role
    since: datetime


@dataclass(frozen=True)
class Unknown:
    """Why a login is not enough, and what would be."""

    why: str
    fix: str
    #: The login was fine, and another one will be.
    is_old: bool = False


def read_claims(claims: Mapping[str, object], rules: ClaimRules, now: datetime) -> Known | Unknown:
    """Tells who somebody is and under which role, by the claims of their ID token.

    A claim inside another is named with dots, ``realm_access.roles``. Of several roles the
    highest counts. An address that the provider says is not verified is nobody's.
    """
    name = _claim(claims, rules.name_claim)
    if not isinstance(name, str) or not name.strip():
        return Unknown(
            f"The login names nobody: it has no claim {rules.name_claim!r}.",
            "Let the provider send it, or name another in PILOTHOUSE_OIDC_NAME_CLAIM.",
        )
    if rules.name_claim == "email" and claims.get("email_verified", True) not in (True, "true"):
        return Unknown(
            f"The provider of logins has not verified the address {name}.",
            "Verify it there, then sign in again.",
        )
    since = _instant(claims.get("iat"))
    if since is None or since > now + _CLOCKS_APART:
        return Unknown(
            "The login does not say when it was, or says a time to come.",
            "Sign in again; if that does not help, compare the clocks of both machines.",
        )
    if now - since >= rules.longest:
        hours = rules.longest / timedelta(hours=1)
        return Unknown(
            f"The session of {name} has ended after {hours:g} hours.", "Sign in again.", is_old=True
        )
    values = _texts(_claim(claims, rules.role_claim))
    role = _highest(values, rules)
    if role is None:
        return Unknown(f"{name} has no role here: {_looked_at(values, rules)}.", _role_fix(rules))
    return Known(name.strip().casefold(), role, since)


def parse_roles(text: str) -> Mapping[str, Role]:
    """Reads ``ml-ops=operator,ml-leads=approver``.

    Raises:
        ValueError: a part is no pair, or names no role.
    """
    pairs = [part.rpartition("=") for part in text.split(",") if part.strip()]
    for value, _, role in pairs:
        if not value.strip() or role.strip() not in set(Role):
            raise ValueError(
                f"write pairs such as ml-ops=operator with commas between; roles are {_ROLES}"
            )
    return {value.strip(): Role(role.strip()) for value, _, role in pairs}


_ROLES = ", ".join(Role)


def _claim(claims: Mapping[str, object], name: str) -> object:
    if name in claims:
        # Names that are addresses have dots of their own.
        return claims[name]
    found: object = claims
    for part in name.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _texts(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    if isinstance(value, Sequence):
        return tuple(one for one in value if isinstance(one, str))
    return ()


def _highest(values: Sequence[str], rules: ClaimRules) -> Role | None:
    given = rules.roles or {role.value: role for role in Role}
    roles = [given[value] for value in values if value in given]
    ladder = list(Role)
    return max(roles, key=ladder.index, default=rules.default_role)


def _looked_at(values: Sequence[str], rules: ClaimRules) -> str:
    if not values:
        return f"the login has no claim {rules.role_claim!r}"
    shown = [repr(value[:64]) for value in values[:_SHOWN_VALUES]]
    if len(values) > _SHOWN_VALUES:
        shown.append("others")
    return f"the claim {rules.role_claim!r} says {', '.join(shown)}"


def _role_fix(rules: ClaimRules) -> str:
    wanted = [repr(value) for value in rules.roles] or [repr(role.value) for role in Role]
    return f"Ask whoever runs the provider of logins for {' or '.join(wanted)}."


def _instant(seconds: object) -> datetime | None:
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, OSError, ValueError):
        return None
