"""The panel's server: Streamlit around ``main.py``, with the door and the headers before it."""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st
from starlette.middleware import Middleware
from streamlit.starlette import App

from app.access.admitted import admitted
from app.access.door import Door
from app.access.headers import SecurityHeaders
from app.access.provider import secrets_of
from app.access.sessions import sessions
from app.access.sign_in import SignIn
from app.access.throttle import Throttle
from app.components.failures import attempt
from app.components.installation import connected
from core.access.login import login_of
from core.settings import Settings, load_settings, silence_vendors

if TYPE_CHECKING:
    from streamlit.runtime.secrets import SecretsValue

    from app.access.known import Accounts


def _accounts() -> Accounts:
    return connected().accounts


def _middleware(settings: Settings) -> list[Middleware]:
    """What stands before Streamlit, outermost first."""
    public_url = settings.panel_public_url
    sign_in = SignIn(sessions(), Throttle(), public_url=public_url)
    return [
        Middleware(SecurityHeaders, is_https=public_url.startswith("https://")),
        Middleware(
            Door,
            accounts=_accounts,
            sessions=sessions(),
            sign_in=sign_in,
            admitted=admitted(),
            hosts=st.get_option("server.allowedHosts"),
        ),
    ]


def _secrets(settings: Settings) -> dict[str, SecretsValue]:
    """What Streamlit has to know to sign people in at a provider."""
    login = login_of(settings)
    return secrets_of(login, settings.home) if login else {}


@asynccontextmanager
async def _connecting(_: App) -> AsyncGenerator[None]:
    """Begins to connect when the server starts, so that the first page waits less for it."""
    # What goes wrong is told to whoever asks for a page.
    threading.Thread(target=attempt, args=(connected,), daemon=True).start()
    yield


# Streamlit and its server ask for an application at the top of a module, so that this one is put
# together as it is read; nothing else imports it.
_SETTINGS = load_settings()
silence_vendors()
app = App(
    Path(__file__).with_name("main.py"),
    secrets=_secrets(_SETTINGS),
    middleware=_middleware(_SETTINGS),
    lifespan=_connecting,
)
