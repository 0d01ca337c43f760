"""The panel's door, in front of a page that only says that it was reached."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from app.access.admitted import Admitted
from app.access.door import Door
from app.access.headers import SecurityHeaders
from app.access.hosts import is_named, local_path
from app.access.sessions import Sessions
from app.access.sign_in import SignIn
from app.access.throttle import MOST_BY_ADDRESS, MOST_IN_TOTAL, WINDOW_S, Throttle
from core.access.roles import Mode, Role
from core.errors import UnavailableError
from tests.unit.app_access_fakes import FakeAccounts
from tests.unit.asgi_visitor import AsgiVisitor

ORIGIN = "http://127.0.0.1"
LOCAL_NAMES = ("127.0.0.1", "localhost", "::1")
PAGES = ["/", "/approvals", "/approvals?request=req-2", "/media/abc.csv", "/no/such/page"]
OPEN = ["/_stcore/health", "/_stcore/host-config", "/static/js/index.js", "/favicon.png"]
CLOSED = ["/_stcore/metrics", "/_stcore/agent/openapi.json", "/_stcore/agent/interact"]


async def inside(request: Request) -> PlainTextResponse:
    if request.url.path == "/broken":
        raise RuntimeError("a secret of the server")
    if request.url.path == "/oauth2callback":
        answer = PlainTextResponse("inside")
        answer.set_cookie("_streamlit_user", "anna")
        answer.set_cookie("another", "one", secure=True)
        return answer
    return PlainTextResponse("inside")


async def stream(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.close()


@dataclass
class House:
    """A panel's door with everything that stands around it."""

    accounts: FakeAccounts
    now: list[float] = field(default_factory=lambda: [1_000_000.0])
    public_url: str = ""
    failure: Exception | None = None

    def __post_init__(self) -> None:
        clock = lambda: self.now[0]  # noqa: E731
        self.admitted = Admitted()
        self.sessions = Sessions(b"k" * 32, longest_s=3600, clock=clock)
        sign_in = SignIn(self.sessions, Throttle(clock), public_url=self.public_url)
        routes = [
            Route("/{path:path}", inside, methods=["GET", "HEAD", "POST", "PUT"]),
            WebSocketRoute("/_stcore/stream", stream),
        ]
        middleware = [
            Middleware(SecurityHeaders, is_https=self.public_url.startswith("https")),
            Middleware(
                Door,
                accounts=self.find_accounts,
                sessions=self.sessions,
                sign_in=sign_in,
                admitted=self.admitted,
                hosts=(*LOCAL_NAMES, "panel.example.com"),
            ),
        ]
        self.app = Starlette(routes=routes, middleware=middleware)

    def find_accounts(self) -> FakeAccounts:
        if self.failure:
            raise self.failure
        return self.accounts

    def visitor(self, origin: str = ORIGIN) -> AsgiVisitor:
        return AsgiVisitor(self.app, origin)


def house(mode: Mode = Mode.ACCOUNTS, **more: str) -> House:
    return House(FakeAccounts(mode), **more)


def sign_in(visitor: AsgiVisitor, token: str, *, wanted: str = "/", **headers: str) -> int:
    """Sends the form as our own page does; returns the status."""
    sent = {"Origin": visitor.origin, **headers}
    answer = visitor.post("/sign-in", data={"token": token, "next": wanted}, headers=sent)
    return answer.status_code


def signed_in(panel: House, name: str = "anna") -> AsgiVisitor:
    visitor = panel.visitor()
    assert sign_in(visitor, panel.accounts.give(name, Role.OPERATOR)) == 303
    return visitor


# Nobody


@pytest.mark.parametrize("path", PAGES)
def test_nobody_sees_a_page(path: str) -> None:
    answer = house().visitor().get(path)
    assert answer.status_code in (303, 401)
    assert "inside" not in answer.text


@pytest.mark.parametrize("path", OPEN)
def test_what_a_browser_needs_before_anybody_is_known_is_open(path: str) -> None:
    assert house().visitor().get(path).text == "inside"


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("path", CLOSED)
def test_what_the_panel_does_not_offer_is_closed(mode: Mode, path: str) -> None:
    assert house(mode).visitor().get(path).status_code == 404


def test_the_page_that_was_asked_for_comes_after_signing_in() -> None:
    panel = house()
    visitor = panel.visitor()
    led = visitor.get("/approvals?request=req-2")
    assert led.headers["location"] == "/sign-in?next=%2Fapprovals%3Frequest%3Dreq-2"
    form = visitor.get(led.headers["location"])
    assert 'name="next" value="/approvals?request=req-2"' in form.text
    token = panel.accounts.give("anna", Role.OPERATOR)
    answer = visitor.post(
        "/sign-in",
        data={"token": token, "next": "/approvals?request=req-2"},
        headers={"Origin": ORIGIN},
    )
    assert (answer.status_code, answer.headers["location"]) == (303, "/approvals?request=req-2")
    assert visitor.get("/approvals").text == "inside"


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_nobody_sends_anything(method: str) -> None:
    answer = house().visitor().request(method, "/_stcore/upload_file/a/b", content=b"rows")
    assert answer.status_code == 401


def test_nobody_opens_a_connection() -> None:
    assert not house().visitor().connect("/_stcore/stream")


def test_a_link_from_another_site_is_asked_for_once_more() -> None:
    """The browser keeps a strict cookie to itself at first."""
    answer = house().visitor().get("/drift?check=1", headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 200
    assert 'content="0;url=/drift?check=1"' in answer.text
    assert "inside" not in answer.text


@pytest.mark.parametrize("path", ["//evil.example", "/\\evil.example", "/%0d%0aSet-Cookie:x"])
def test_no_page_leads_elsewhere(path: str) -> None:
    for headers in ({}, {"Sec-Fetch-Site": "cross-site"}):
        answer = house().visitor().get(ORIGIN + path, headers=headers)
        assert "url=//" not in answer.text
        assert answer.headers.get("location", "/sign-in").startswith("/sign-in")


# Somebody


def test_the_cookie_is_for_this_site_and_no_script() -> None:
    panel = house()
    visitor = panel.visitor()
    token = panel.accounts.give("anna", Role.OPERATOR)
    answer = visitor.post("/sign-in", data={"token": token}, headers={"Origin": ORIGIN})
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Secure" not in cookie
    assert token not in cookie


@pytest.mark.parametrize("public_url", ["", "https://panel.example.com"])
def test_over_tls_the_cookie_stays_there(public_url: str) -> None:
    panel = house(public_url=public_url)
    visitor = panel.visitor("https://panel.example.com")
    token = panel.accounts.give("anna", Role.OPERATOR)
    answer = visitor.post(
        "/sign-in", data={"token": token}, headers={"Origin": "https://panel.example.com"}
    )
    assert "Secure" in answer.headers["set-cookie"]
    assert answer.headers["strict-transport-security"] == "max-age=31536000"


def test_somebody_sees_pages_and_opens_a_connection() -> None:
    visitor = signed_in(house())
    assert visitor.get("/approvals").text == "inside"
    assert visitor.request("PUT", "/_stcore/upload_file/a/b", content=b"rows").text == "inside"
    assert visitor.connect("/_stcore/stream")
    assert visitor.get("/sign-in").headers["location"] == "/"


def test_a_removed_person_is_out() -> None:
    panel = house()
    visitor = signed_in(panel)
    del panel.accounts.people["anna"]
    assert visitor.get("/").headers["location"] == "/sign-in"
    assert visitor.get("/media/abc.csv").status_code == 401


def test_another_token_ends_the_session_of_the_one_before() -> None:
    panel = house()
    visitor = signed_in(panel)
    panel.accounts.issue_token("anna", actor="ada")
    assert visitor.get("/").headers["location"] == "/sign-in"


def test_a_session_goes_on_under_the_token_that_was_renewed_in_it() -> None:
    panel = house()
    visitor = signed_in(panel)
    elsewhere = panel.visitor()
    sign_in(elsewhere, "anna-1")
    session = panel.sessions.read(visitor.cookies[panel.sessions.cookie])
    assert session is not None
    panel.accounts.issue_token("anna", actor="anna")
    panel.sessions.follow(session.id, panel.accounts.token_mark("anna"))
    assert visitor.get("/").text == "inside"
    assert elsewhere.get("/").headers["location"] == "/sign-in"


def test_a_session_ends_after_its_hours() -> None:
    panel = house()
    visitor = signed_in(panel)
    panel.now[0] += 3599
    assert visitor.get("/").text == "inside"
    panel.now[0] += 1
    assert visitor.get("/").headers["location"] == "/sign-in"


def test_a_session_of_another_key_is_none() -> None:
    panel = house()
    panel.accounts.give("anna", Role.ADMIN)
    forged = Sessions(b"x" * 32, longest_s=3600).begin("anna", "1")
    visitor = panel.visitor()
    visitor.cookies.set(panel.sessions.cookie, forged)
    assert visitor.get("/").headers["location"] == "/sign-in"


def test_signing_out_ends_the_session_and_not_the_cookie_alone() -> None:
    panel = house()
    visitor = signed_in(panel)
    kept = visitor.cookies[panel.sessions.cookie]
    answer = visitor.get("/auth/logout", headers={"Sec-Fetch-Site": "same-origin"})
    assert answer.headers["location"] == "/sign-in"
    assert panel.sessions.cookie not in visitor.cookies
    visitor.cookies.set(panel.sessions.cookie, kept)
    assert visitor.get("/").headers["location"] == "/sign-in"


def test_another_site_signs_nobody_out() -> None:
    visitor = signed_in(house())
    visitor.get("/auth/logout", headers={"Sec-Fetch-Site": "cross-site"})
    assert visitor.get("/").text == "inside"


# Wrong


def test_a_wrong_token_is_told_in_one_sentence_and_not_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    panel = house()
    with caplog.at_level(logging.DEBUG):
        answer = panel.visitor().post(
            "/sign-in", data={"token": "s3cret-guess"}, headers={"Origin": ORIGIN}
        )
    assert answer.status_code == 401
    assert "This token is not valid, or not any more." in answer.text
    assert "set-cookie" not in answer.headers
    assert "s3cret-guess" not in answer.text + caplog.text


def test_too_many_wrong_tokens_have_to_wait() -> None:
    panel = house()
    visitor = panel.visitor()
    token = panel.accounts.give("anna", Role.OPERATOR)
    for _ in range(MOST_BY_ADDRESS):
        assert sign_in(visitor, "wrong-1") == 401
    answer = visitor.post("/sign-in", data={"token": token}, headers={"Origin": ORIGIN})
    assert answer.status_code == 429
    assert 0 < int(answer.headers["retry-after"]) <= WINDOW_S + 1
    assert "Try again in 5 min." in answer.text
    panel.now[0] += WINDOW_S
    assert sign_in(visitor, token) == 303


def test_wrong_tokens_of_one_address_do_not_hold_up_another() -> None:
    throttle = Throttle(lambda: 0.0)
    for _ in range(MOST_BY_ADDRESS):
        throttle.note_wrong("10.0.0.1")
    assert throttle.wait_s("10.0.0.1") == WINDOW_S
    assert throttle.wait_s("10.0.0.2") == 0


def test_wrong_tokens_of_many_addresses_hold_up_all() -> None:
    throttle = Throttle(lambda: 0.0)
    for number in range(MOST_IN_TOTAL):
        throttle.note_wrong(f"10.0.{number}.1")
    assert throttle.wait_s("10.9.9.9") == WINDOW_S


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "", "http://127.0.0.1:9999", "127.0.0.1"]
)
def test_a_form_of_another_site_does_nothing(origin: str) -> None:
    panel = house()
    visitor = panel.visitor()
    token = panel.accounts.give("anna", Role.OPERATOR)
    assert sign_in(visitor, token, Origin=origin) == 403
    assert visitor.get("/").headers["location"] == "/sign-in"


def test_a_form_that_is_too_long_is_not_read() -> None:
    panel = house()
    token = panel.accounts.give("anna", Role.OPERATOR)
    assert sign_in(panel.visitor(), token + " " * 9000) == 401


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "[::1"])
@pytest.mark.parametrize("mode", list(Mode))
def test_another_name_for_the_panel_is_refused(mode: Mode, host: str) -> None:
    answer = house(mode).visitor().get("/", headers={"Host": host})
    assert answer.status_code == 421


def test_names_are_told_from_ports() -> None:
    assert is_named("127.0.0.1:8501", LOCAL_NAMES)
    assert is_named("[::1]:8501", ("[::1]",))
    assert is_named("LOCALHOST.", LOCAL_NAMES)
    assert is_named("anything", ("*",))
    assert not is_named("a@localhost@evil.example", LOCAL_NAMES)


@pytest.mark.parametrize(
    "wanted",
    ["https://evil.example/", "//evil.example", "/\\evil", "javascript:alert(1)", "", "/a\nb", "x"],
)
def test_what_leads_elsewhere_becomes_the_first_page(wanted: str) -> None:
    assert local_path(wanted) == "/"


def test_where_it_cannot_be_told_who_may_nobody_may() -> None:
    panel = house(Mode.LOCAL)
    panel.failure = UnavailableError("The database does not answer.", fix="Check the disk.")
    answer = panel.visitor().get("/")
    assert answer.status_code == 503
    assert "The database does not answer. Check the disk." in answer.text
    assert panel.visitor().get("/_stcore/health").text == "inside"


# The other modes


def test_one_local_operator_signs_in_nowhere() -> None:
    visitor = house(Mode.LOCAL).visitor()
    assert visitor.get("/").text == "inside"
    assert visitor.get("/sign-in").headers["location"] == "/"
    assert visitor.request("PUT", "/_stcore/upload_file/a/b", content=b"rows").text == "inside"


def test_a_login_is_asked_for_by_the_page_itself() -> None:
    visitor = house(Mode.OIDC).visitor()
    for path in ("/", "/approvals", "/auth/login", "/auth/logout", "/oauth2callback"):
        assert visitor.get(path).text == "inside"
    assert visitor.get("/sign-in").headers["location"] == "/"


def test_only_a_page_on_which_somebody_has_logged_in_sends_a_file() -> None:
    panel = house(Mode.OIDC)
    visitor = panel.visitor()
    assert (
        visitor.request("PUT", "/_stcore/upload_file/page-1/file", content=b"rows").status_code
        == 401
    )
    panel.admitted.add("page-1")
    assert (
        visitor.request("PUT", "/_stcore/upload_file/page-1/file", content=b"rows").text == "inside"
    )
    panel.admitted.drop("page-1")
    assert (
        visitor.request("PUT", "/_stcore/upload_file/page-1/file", content=b"rows").status_code
        == 401
    )


# Headers


def test_over_tls_no_cookie_leaves_by_plain_http() -> None:
    answer = house(Mode.OIDC).visitor("https://panel.example.com").get("/oauth2callback")
    cookies = answer.headers.get_list("set-cookie")
    assert [cookie.count("Secure") for cookie in cookies] == [1, 1]


@pytest.mark.parametrize("path", ["/", "/sign-in", "/broken", "/_stcore/metrics", "/drift"])
@pytest.mark.parametrize("mode", list(Mode))
def test_every_answer_has_the_headers(mode: Mode, path: str) -> None:
    answer = house(mode).visitor().get(path)
    policy = directives(answer.headers)
    assert policy["default-src"] == "'none'"
    assert policy["frame-ancestors"] == "'none'"
    assert policy["base-uri"] == "'none'"
    assert "unsafe" not in policy.get("script-src", "")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["referrer-policy"] == "same-origin"
    assert answer.headers["cross-origin-opener-policy"] == "same-origin"
    assert "camera=()" in answer.headers["permissions-policy"]
    assert "strict-transport-security" not in answer.headers
    assert "a secret of the server" not in answer.text


def test_the_sign_in_page_runs_no_script_at_all() -> None:
    answer = house().visitor().get("/sign-in")
    policy = directives(answer.headers)
    assert "script-src" not in policy
    assert "unsafe-inline" not in policy["style-src"]
    assert "<script" not in answer.text
    assert answer.headers["cache-control"] == "no-store"


def test_what_was_asked_for_cannot_write_into_the_page() -> None:
    answer = house().visitor().get('/sign-in?next=/"><script>alert(1)</script>')
    assert "<script" not in answer.text


def directives(headers: Mapping[str, str]) -> dict[str, str]:
    parts = (one.strip().partition(" ") for one in headers["content-security-policy"].split(";"))
    return {name: value for name, _, value in parts}
