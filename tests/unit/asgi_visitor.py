"""A browser without a window: keeps cookies and speaks to an ASGI application in this process."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import httpx
from starlette.types import ASGIApp, Message


class AsgiVisitor:
    """Sends one request after another; an error of the application becomes its 500."""

    def __init__(self, app: ASGIApp, origin: str) -> None:
        self.origin = origin
        self.cookies = httpx.Cookies()
        self._app = app

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> httpx.Response:
        return self.request("GET", path, headers=headers)

    def post(
        self, path: str, data: Mapping[str, str], headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        return self.request("POST", path, data=data, headers=headers)

    def request(self, method: str, path: str, **more: Any) -> httpx.Response:
        return asyncio.run(self._request(method, path, more))

    async def _request(self, method: str, path: str, more: dict[str, Any]) -> httpx.Response:
        transport = httpx.ASGITransport(
            self._app, raise_app_exceptions=False, client=("127.0.0.1", 40000)
        )
        async with httpx.AsyncClient(
            transport=transport, base_url=self.origin, cookies=self.cookies
        ) as client:
            answer = await client.request(method, path, **more)
            self.cookies = client.cookies
        return answer

    def connect(self, path: str) -> bool:
        """Opens a web socket; returns whether it was accepted."""
        return asyncio.run(self._connect(path))

    async def _connect(self, path: str) -> bool:
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        scope = {
            "type": "websocket",
            "asgi": {"version": "3.0"},
            "scheme": "ws",
            "path": path,
            "raw_path": path.encode("ascii"),
            "query_string": b"",
            "root_path": "",
            "headers": [(b"host", b"127.0.0.1"), (b"cookie", cookie.encode("ascii"))],
            "client": ("127.0.0.1", 40000),
            "server": ("127.0.0.1", 80),
            "subprotocols": [],
        }
        said: list[Message] = []

        async def receive() -> Message:
            return {"type": "websocket.connect" if not said else "websocket.disconnect"}

        async def send(message: Message) -> None:
            said.append(message)

        await self._app(scope, receive, send)
        return said[0]["type"] == "websocket.accept"
