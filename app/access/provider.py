"""What Streamlit has to know of a provider of logins."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from core.access.login import Login
from core.access.secret_file import load_secret

if TYPE_CHECKING:
    from streamlit.runtime.secrets import SecretsValue

_COOKIE_KEY = "login.key"


def secrets_of(login: Login, home: Path) -> dict[str, SecretsValue]:
    """Streamlit's secrets; the key of its cookie is made at first use.

    Raises:
        SetupError: that key can neither be read nor made.
    """
    return {
        "auth": {
            "redirect_uri": login.redirect_url,
            "cookie_secret": load_secret(home / "secrets" / _COOKIE_KEY).hex(),
            "client_id": login.client_id,
            "client_secret": login.client_secret,
            "server_metadata_url": login.metadata_url,
        }
    }
