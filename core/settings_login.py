"""The settings of signing in: how long it lasts, and the provider of logins."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field, SecretStr


class LoginSettings(BaseModel):
    """How people sign in to one installation."""

    session_hours: float = Field(
        default=12.0, gt=0, description="Hours after which people have to sign in again."
    )
    oidc_metadata_url: str = Field(
        default="",
        description="Metadata of the OpenID Connect provider that people sign in with.",
    )
    oidc_client_id: str = Field(
        default="", description="Name under which the provider knows the panel."
    )
    oidc_client_secret: SecretStr = Field(
        default=SecretStr(""), description="What the panel proves that name with. A secret."
    )
    oidc_client_secret_file: str = Field(
        default="", description="File that holds what `PILOTHOUSE_OIDC_CLIENT_SECRET` would."
    )
    oidc_name_claim: str = Field(
        default="email", description="Claim of the login that names the person."
    )
    oidc_role_claim: str = Field(
        default="roles", description="Claim of the login that says the roles; dots go inside."
    )
    oidc_roles: str = Field(
        default="",
        description="Role by value of that claim, `ml-ops=operator,ml-leads=approver`.",
    )
    oidc_default_role: Literal["", "viewer", "operator", "approver", "admin"] = Field(
        default="", description="Role of whoever has none of those; empty means refused."
    )
