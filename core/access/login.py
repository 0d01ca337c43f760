"""Signing in by OpenID Connect, as the settings of an installation say."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from core.access.claims import ClaimRules, parse_roles
from core.access.roles import Role
from core.errors import SetupError
from core.settings import Settings

#: Where the provider sends people back to; Streamlit's own.
CALLBACK = "/oauth2callback"
_FIX = "docs/access.md shows all that a provider of logins takes."


@dataclass(frozen=True)
class Login:
    """A provider of logins, and what is made of its claims."""

    metadata_url: str
    client_id: str
    client_secret: str = field(repr=False)
    #: Where people open the panel.
    panel_url: str
    rules: ClaimRules

    @property
    def redirect_url(self) -> str:
        """Where the provider sends people back to; it has to know this address."""
        return self.panel_url + CALLBACK


def login_of(settings: Settings) -> Login | None:
    """The provider that people sign in with; ``None`` where none is configured.

    Raises:
        SetupError: something that it takes is missing or not usable.
    """
    if not settings.oidc_metadata_url:
        return None
    secret = settings.oidc_secret
    missing = [
        name
        for name, value in (
            ("PILOTHOUSE_OIDC_CLIENT_ID", settings.oidc_client_id),
            ("PILOTHOUSE_OIDC_CLIENT_SECRET or its file", secret),
        )
        if not value
    ]
    if missing:
        raise SetupError(f"Signing in by OpenID Connect lacks {' and '.join(missing)}.", fix=_FIX)
    return Login(
        metadata_url=settings.oidc_metadata_url,
        client_id=settings.oidc_client_id,
        client_secret=secret,
        panel_url=(settings.panel_public_url or settings.panel_url).rstrip("/"),
        rules=rules_of(settings),
    )


def rules_of(settings: Settings) -> ClaimRules:
    """What is made of the provider's claims.

    Raises:
        SetupError: the roles are not written as they should be.
    """
    try:
        roles = parse_roles(settings.oidc_roles)
    except ValueError as exc:
        raise SetupError(f"PILOTHOUSE_OIDC_ROLES is not usable: {exc}.", fix=_FIX) from exc
    default = settings.oidc_default_role
    return ClaimRules(
        name_claim=settings.oidc_name_claim,
        role_claim=settings.oidc_role_claim,
        roles=roles,
        default_role=Role(default) if default else None,
        longest=timedelta(hours=settings.session_hours),
    )
