"""Signing in with a token, and out again."""

from __future__ import annotations

import logging
from urllib.parse import parse_qs, urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from app.access.hosts import local_path
from app.access.known import Accounts
from app.access.page import notice_page, sign_in_page
from app.access.sessions import Sessions
from app.access.throttle import Throttle
from core.errors import SignInError

SIGN_IN = "/sign-in"
#: Where ``st.logout`` leads.
SIGN_OUT = "/auth/logout"
_LONGEST_BODY = 8192
_LOG = logging.getLogger("pilothouse.panel")


class SignIn:
    """Answers the sign-in page, what is sent from it, and the way out."""

    def __init__(self, sessions: Sessions, throttle: Throttle, *, public_url: str) -> None:
        self._sessions = sessions
        self._throttle = throttle
        self._public_url = public_url

    async def answer(self, request: Request, accounts: Accounts) -> Response:
        """Answers a request for the sign-in page."""
        if request.method in ("GET", "HEAD"):
            return sign_in_page(wanted=local_path(request.query_params.get("next", "/")))
        if request.method != "POST":
            return Response(status_code=405, headers={"Allow": "GET, HEAD, POST"})
        if not self._is_own(request):
            return notice_page(
                "Not from here",
                "This form was sent from another site; nothing was done.",
                status=403,
            )
        return await self._sign_in(request, accounts)

    async def _sign_in(self, request: Request, accounts: Accounts) -> Response:
        address = request.client.host if request.client else ""
        form = await _read_form(request)
        wanted = local_path(form.get("next", "/"))
        wait_s = self._throttle.wait_s(address)
        if wait_s > 0:
            minutes = max(round(wait_s / 60), 1)
            said = f"There were too many wrong tokens. Try again in {minutes} min."
            answer: Response = sign_in_page(wanted=wanted, wrong=said, status=429)
            answer.headers["Retry-After"] = str(int(wait_s) + 1)
            return answer
        try:
            account = await run_in_threadpool(accounts.sign_in, form.get("token", ""))
            mark = await run_in_threadpool(accounts.token_mark, account.name)
        except SignInError as exc:
            self._throttle.note_wrong(address)
            _LOG.warning("A sign-in from %s was refused: no such token.", address)
            return sign_in_page(wanted=wanted, wrong=exc.message, status=401)
        answer = RedirectResponse(wanted, status_code=303)
        answer.set_cookie(
            self._sessions.cookie,
            self._sessions.begin(account.name, mark),
            httponly=True,
            samesite="strict",
            secure=self._is_https(request),
        )
        return answer

    def leave(self, request: Request) -> Response:
        """Ends the session of a request; another site cannot do that to anybody."""
        answer = RedirectResponse(SIGN_IN, status_code=303)
        if request.headers.get("sec-fetch-site", "none") in ("none", "same-origin"):
            session = self._sessions.signed(request.cookies.get(self._sessions.cookie))
            if session is not None:
                self._sessions.end(session.id)
            answer.delete_cookie(
                self._sessions.cookie,
                httponly=True,
                samesite="strict",
                secure=self._is_https(request),
            )
        return answer

    def _is_own(self, request: Request) -> bool:
        """Whether our own page has sent the form: the protection against forged requests."""
        origin = urlsplit(request.headers.get("origin", ""))
        own = {request.headers.get("host", ""), urlsplit(self._public_url).netloc} - {""}
        return origin.scheme in ("http", "https") and origin.netloc in own

    def _is_https(self, request: Request) -> bool:
        return request.url.scheme == "https" or self._public_url.startswith("https://")


async def _read_form(request: Request) -> dict[str, str]:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _LONGEST_BODY:
            return {}
    fields = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True)
    return {name: values[-1] for name, values in fields.items()}
