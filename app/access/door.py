"""Lets requests in: who nobody knows comes as far as the sign-in page."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from urllib.parse import quote, urlencode

from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from app.access.admitted import Admitted
from app.access.hosts import is_named, local_path
from app.access.known import Accounts, account_of
from app.access.page import notice_page, once_more_page
from app.access.sessions import Session, Sessions
from app.access.sign_in import SIGN_IN, SIGN_OUT, SignIn
from core.access.roles import Mode
from core.errors import PilothouseError

#: What a browser and the supervisor need before anybody is known; nothing of it is ours.
_OPEN = ("/_stcore/health", "/_stcore/host-config", "/static/", "/favicon.png")
#: Not pages: whoever asks for them without a session gets no other page instead.
_PARTS = ("/_stcore/", "/media/", "/component/", "/app/static/")
_UPLOAD = "/_stcore/upload_file/"
#: Streamlit's figures about itself and its interface for programs; the panel offers neither.
_CLOSED = ("/_stcore/metrics", "/_stcore/agent", "/_stcore/script-health-check")
_POLICY_VIOLATION = 1008
_LOG = logging.getLogger("pilothouse.panel")


class Door:
    """Stands before Streamlit. Where people log in at a provider, its pages ask for that."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        accounts: Callable[[], Accounts],
        sessions: Sessions,
        sign_in: SignIn,
        admitted: Admitted,
        hosts: Sequence[str],
    ) -> None:
        self._app = app
        self._accounts = accounts
        self._sessions = sessions
        self._sign_in = sign_in
        self._admitted = admitted
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one request, or one connection of a page."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        answer = await self._stop(scope, receive)
        if answer is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await answer(scope, receive, send)
        else:
            await WebSocket(scope, receive, send).close(_POLICY_VIOLATION)

    async def _stop(self, scope: Scope, receive: Receive) -> Response | None:
        """What a request gets instead of what it asked for; ``None`` lets it in."""
        connection = HTTPConnection(scope)
        if not is_named(connection.headers.get("host", ""), self._hosts):
            return PlainTextResponse("The panel has no such name.", status_code=421)
        path: str = scope["path"]
        if path.startswith(_OPEN):
            return None
        if path.startswith(_CLOSED):
            return PlainTextResponse("Not Found", status_code=404)
        try:
            accounts = await run_in_threadpool(self._accounts)
            mode = await run_in_threadpool(lambda: accounts.mode)
            if mode is Mode.ACCOUNTS:
                return await self._stop_strangers(connection, receive, accounts)
        except PilothouseError as exc:
            _LOG.error("Nobody can be let in: %s", exc)
            return notice_page("The panel cannot be opened", str(exc), status=503)
        if path == SIGN_IN:
            return RedirectResponse("/", status_code=303)
        if mode is Mode.OIDC and path.startswith(_UPLOAD):
            return self._stop_upload(path)
        return None

    def _stop_upload(self, path: str) -> Response | None:
        """Only a page on which somebody has logged in may send a file."""
        session_id = path.removeprefix(_UPLOAD).partition("/")[0]
        if self._admitted.has(session_id):
            return None
        return PlainTextResponse("Sign in first.", status_code=401)

    async def _stop_strangers(
        self, connection: HTTPConnection, receive: Receive, accounts: Accounts
    ) -> Response | None:
        path = connection.scope["path"]
        cookie = connection.cookies.get(self._sessions.cookie)
        if connection.scope["type"] == "websocket":
            # The page behind it asks again, on every run; a session that is over is led out there.
            known = self._sessions.signed(cookie) is not None
            return None if known else PlainTextResponse("", status_code=401)
        request = Request(connection.scope, receive)
        if path == SIGN_OUT:
            return self._sign_in.leave(request)
        session = self._sessions.read(cookie)
        is_known = session is not None and await run_in_threadpool(_is_known, session, accounts)
        if is_known:
            return RedirectResponse("/", status_code=303) if path == SIGN_IN else None
        if path == SIGN_IN:
            return await self._sign_in.answer(request, accounts)
        if request.method not in ("GET", "HEAD") or path.startswith(_PARTS):
            return PlainTextResponse("Sign in first.", status_code=401)
        return _lead_to_sign_in(request, has_cookie=cookie is not None)


def _is_known(session: Session, accounts: Accounts) -> bool:
    return account_of(session, accounts) is not None


def _lead_to_sign_in(request: Request, *, has_cookie: bool) -> Response:
    query = f"?{request.url.query}" if request.url.query else ""
    wanted = local_path(quote(request.url.path) + query)
    if not has_cookie and request.headers.get("sec-fetch-site") in ("cross-site", "same-site"):
        return once_more_page(wanted)
    asked = "" if wanted == "/" else "?" + urlencode({"next": wanted})
    return RedirectResponse(SIGN_IN + asked, status_code=303)
