"""How far an installation is open, by its settings and its accounts of this moment."""

from __future__ import annotations

from core.access.accounts import AccountService
from core.access.exposure import Exposure
from core.access.roles import Role
from core.settings import Settings


def exposure_of(settings: Settings, accounts: AccountService) -> Exposure:
    """Returns what decides whether other machines may be let in."""
    active = [one for one in accounts.list() if one.removed_at is None]
    return Exposure(
        settings.host,
        (settings.panel_public_url, settings.serving_public_url),
        has_tls=bool(settings.tls_cert_file),
        has_login=settings.has_login,
        has_accounts=bool(active),
        has_admin=any(one.role is Role.ADMIN for one in active),
        keys_required=settings.keys_required,
        allow_open=settings.allow_open,
        cluster_host=settings.cluster_host,
        has_ray_token=settings.ray_token,
    )
