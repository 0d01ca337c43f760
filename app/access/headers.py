"""What every answer of the panel tells the browser to keep to."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

import streamlit
from starlette.datastructures import MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_INLINE_SCRIPT = re.compile(rb"<script>(.*?)</script>", re.DOTALL)
_DENIED = (
    "accelerometer",
    "camera",
    "display-capture",
    "geolocation",
    "gyroscope",
    "magnetometer",
    "microphone",
    "midi",
    "payment",
    "usb",
)
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # With ``no-referrer`` a browser hides the origin of our own form as well.
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": ", ".join(f"{feature}=()" for feature in _DENIED),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_ONE_YEAR_S = 365 * 24 * 3600


def page_policy() -> str:
    """The Content-Security-Policy of Streamlit's pages: all that they load is the panel's own.

    Streamlit writes its styles into the page, and ``index.html`` has a line of script, which
    is let in by its hash. Vega interprets its expressions, so that no ``eval`` is needed.
    """
    index = Path(streamlit.__file__).with_name("static") / "index.html"
    hashes = [
        base64.b64encode(hashlib.sha256(script).digest()).decode("ascii")
        for script in _INLINE_SCRIPT.findall(index.read_bytes())
    ]
    return "; ".join(
        (
            "default-src 'none'",
            " ".join(["script-src 'self'", *(f"'sha256-{one}'" for one in hashes)]),
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data: blob:",
            "font-src 'self' data:",
            "media-src 'self' blob:",
            "connect-src 'self'",
            "worker-src 'self' blob:",
            "manifest-src 'self'",
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        )
    )


class SecurityHeaders:
    """Adds the headers to every answer, also to one about an error nobody foresaw."""

    def __init__(self, app: ASGIApp, *, is_https: bool) -> None:
        self._app = app
        self._is_https = is_https
        self._headers = {"Content-Security-Policy": page_policy(), **_HEADERS}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        has_begun = False

        async def send_with_headers(message: Message) -> None:
            nonlocal has_begun
            if message["type"] == "http.response.start":
                has_begun = True
                self._complete(MutableHeaders(scope=message), scope)
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        except Exception:
            # Further out there is only Starlette's own answer, which would go out without.
            if not has_begun:
                answer = PlainTextResponse("Internal Server Error", status_code=500)
                await answer(scope, receive, send_with_headers)
            raise

    def _complete(self, headers: MutableHeaders, scope: Scope) -> None:
        for name, value in self._headers.items():
            headers.setdefault(name, value)
        if self._is_https or scope["scheme"] == "https":
            headers.setdefault("Strict-Transport-Security", f"max-age={_ONE_YEAR_S}")
            _secure_cookies(headers)


def _secure_cookies(headers: MutableHeaders) -> None:
    """Keeps every cookie off plain HTTP; Streamlit leaves that out of those of a login."""
    cookies = headers.getlist("set-cookie")
    del headers["set-cookie"]
    for cookie in cookies:
        is_secure = "secure" in {part.strip().lower() for part in cookie.split(";")}
        headers.append("set-cookie", cookie if is_secure else f"{cookie}; Secure")
