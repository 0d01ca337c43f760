"""Everybody asks for every address: of the served models with keys, of the panel with sessions."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from unittest.mock import MagicMock

import httpx
import pytest
from starlette.routing import WebSocketRoute
from streamlit.web.server.starlette.starlette_app import create_streamlit_routes

from core.access.admission import AdmittedKey
from core.access.roles import Mode, Role
from core.access.serving_key import Scope, digest_of
from serve.asgi import EndpointApp
from serve.gate import Gate
from serve.logs import ReplicaLogs
from serve.store import ModelStore
from tests.serving_support import admission
from tests.unit.app_access_fakes import FakeAccounts
from tests.unit.test_app_door import House, sign_in

_ANY, _PREDICT = frozenset(Scope), frozenset({Scope.PREDICT})
_OWN: frozenset[Scope] = frozenset()
#: Method and address of the served models -> scopes that are enough; ``None`` for one that is
#: open to all, ``_OWN`` for one that takes the key of the installation alone.
SERVED: Mapping[tuple[str, str], frozenset[Scope] | None] = {
    ("GET", "/healthz"): None,
    ("GET", "/readyz"): None,
    ("GET", "/docs"): None,
    ("GET", "/openapi.json"): None,
    ("GET", "/metrics"): _OWN,
    ("GET", "/problems/{problem}"): _ANY,
    ("POST", "/predict/{problem}"): _PREDICT,
    ("POST", "/labels/{problem}"): frozenset({Scope.LABELS}),
    ("GET", "/v2"): None,
    ("GET", "/v2/health/live"): None,
    ("GET", "/v2/health/ready"): None,
    ("GET", "/v2/models/{problem}"): _ANY,
    ("GET", "/v2/models/{problem}/ready"): _ANY,
    ("POST", "/v2/models/{problem}/infer"): _PREDICT,
    ("GET", "/v2/models/{problem}/versions/{version}"): _ANY,
    ("GET", "/v2/models/{problem}/versions/{version}/ready"): _ANY,
    ("POST", "/v2/models/{problem}/versions/{version}/infer"): _PREDICT,
    ("GET", "/ping"): None,
    ("GET", "/health"): None,
    ("GET", "/version"): None,
    ("POST", "/invocations/{problem}"): _PREDICT,
}
#: What leads to one of those, once it is known which.
LEADING_ELSEWHERE = {("POST", "/invocations")}
TOKENS = {scope: f"ph_{'a' * 11}{number}_{'1' * 64}" for number, scope in enumerate(Scope)}
OF_ANOTHER_PROBLEM = f"ph_{'b' * 12}_{'2' * 64}"
UNKNOWN = f"ph_{'c' * 12}_{'3' * 64}"


def _key(token: str, problem: str, *scopes: Scope) -> AdmittedKey:
    return AdmittedKey(
        id=token[3:15],
        problem=problem,
        scopes=scopes,
        sha256=digest_of(token),
        expires_at=None,
        requests_per_second=None,
    )


@pytest.fixture(scope="module")
def served() -> EndpointApp:
    """The served models where keys are required."""
    keys = [_key(token, "plums", scope) for scope, token in TOKENS.items()]
    keys.append(_key(OF_ANOTHER_PROBLEM, "pears", *Scope))
    gate = Gate()
    access = admission(Path("/nowhere"), *keys, required=True)
    gate.apply({"access": access.model_dump(mode="json")})
    return EndpointApp(ModelStore(), ReplicaLogs("test"), gate)


def _ask(app: EndpointApp, route: tuple[str, str], token: str | None) -> int:
    """Status of the answer."""
    method, address = route

    async def once() -> int:
        headers = {"X-API-Key": token} if token else {}
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            path = address.format(problem="plums", version=1)
            answer = await client.request(method, path, headers=headers, json={})
        assert answer.status_code != 405
        return answer.status_code

    return asyncio.run(once())


class TestServedModels:
    def test_every_address_is_in_the_table(self, served: EndpointApp) -> None:
        assert set(served.addresses) == set(SERVED) | LEADING_ELSEWHERE

    @pytest.mark.parametrize("route", SERVED, ids=" ".join)
    def test_keys_open_what_they_are_for(self, served: EndpointApp, route: tuple[str, str]) -> None:
        scopes = SERVED[route]
        for token in (None, UNKNOWN):
            assert (_ask(served, route, token) == 401) is (scopes is not None)
        assert (_ask(served, route, OF_ANOTHER_PROBLEM) == 403) is (scopes is not None)
        for scope, token in TOKENS.items():
            is_enough = scopes is None or scope in scopes
            assert (_ask(served, route, token) in (401, 403)) is not is_enough, scope


OPEN, INSIDE, CLOSED = "open", "for those who are signed in", "closed"
#: Address of the panel's server -> for whom it is, where people have accounts.
PANEL: Mapping[str, str] = {
    "/": INSIDE,
    "/sign-in": OPEN,
    "/auth/login": INSIDE,
    "/oauth2callback": INSIDE,
    "/media/{file_id:path}": INSIDE,
    "/component/{path:path}": INSIDE,
    "/_stcore/stream": INSIDE,
    "/_stcore/upload_file/{session_id}/{file_id}": INSIDE,
    "/_stcore/bidi-components/{path:path}": INSIDE,
    "/_stcore/health": OPEN,
    "/_stcore/host-config": OPEN,
    "/_stcore/metrics": CLOSED,
    "/_stcore/agent/interact": CLOSED,
    "/_stcore/agent/openapi.json": CLOSED,
    "/_stcore/agent/mcp": CLOSED,
    # Leads to the sign-in page, whoever asks; last, since it ends the session that walks.
    "/auth/logout": OPEN,
}
#: Addresses of the door itself, which Streamlit does not know.
OF_THE_DOOR = {"/", "/sign-in"}
ROLES = [None, *Role]


class TestPanel:
    def test_every_address_of_the_server_is_in_the_table(self) -> None:
        routes = create_streamlit_routes(MagicMock())
        # A mount without a path is Streamlit's own page, which "/" stands for.
        known = {path for route in routes if (path := getattr(route, "path", ""))}
        assert known | OF_THE_DOOR == set(PANEL)

    @pytest.mark.parametrize("role", ROLES, ids=[str(role) for role in ROLES])
    def test_a_session_opens_what_it_is_for(self, role: Role | None) -> None:
        panel = House(FakeAccounts(Mode.ACCOUNTS))
        visitor = panel.visitor()
        if role is not None:
            assert sign_in(visitor, panel.accounts.give("anna", role)) == 303
        kept = dict(visitor.cookies)
        sockets = {r.path for r in create_streamlit_routes(MagicMock()) if _is_socket(r)}
        for route, whose in PANEL.items():
            visitor.cookies = httpx.Cookies(kept)
            path = route.replace("{session_id}", "s").replace("{file_id}", "f")
            path = path.replace("{file_id:path}", "f").replace("{path:path}", "p")
            is_in = whose == OPEN or (whose == INSIDE and role is not None)
            if route in sockets:
                assert visitor.connect(path) is is_in, route
            elif route in ("/sign-in", "/auth/logout"):
                # Before the page: nothing of the panel comes, whoever asks.
                assert "inside" not in visitor.get(path).text, route
            else:
                assert ("inside" in visitor.get(path).text) is is_in, route

    @pytest.mark.parametrize("role", list(Role))
    def test_every_role_opens_the_same_pages(self, role: Role) -> None:
        """What a role may do is asked by the core; the door only asks who there is."""
        panel = House(FakeAccounts(Mode.ACCOUNTS))
        visitor = panel.visitor()
        sign_in(visitor, panel.accounts.give("anna", role))
        assert visitor.get("/access").text == "inside"


def _is_socket(route: object) -> bool:
    return isinstance(route, WebSocketRoute)
