"""The endpoint as a plain ASGI application over a ``ModelStore``."""

from __future__ import annotations

import asyncio
import logging
import time

from core.errors import PilothouseError
from serve.choosing import TURN
from serve.gate import Gate
from serve.http import (
    Answer,
    DisconnectedError,
    Failure,
    HttpError,
    Receive,
    Scope,
    Send,
    failure_of,
    send_answer,
)
from serve.logs import ReplicaLogs
from serve.mlflow_routes import MlflowRoutes
from serve.native import NativeRoutes
from serve.ongoing import Ongoing
from serve.open_inference_routes import OpenInferenceRoutes
from serve.recorder import Answered
from serve.routes import OTHER, Route, RouteGroup, Scoring
from serve.store import ModelStore

logger = logging.getLogger(__name__)

_FAULT = Failure(500, "internal", "The server failed; its log says why.")


class EndpointApp:
    """Answers HTTP for every problem in the store, in every protocol."""

    def __init__(self, store: ModelStore, logs: ReplicaLogs, gate: Gate) -> None:
        self.ongoing = Ongoing()
        self._gate = gate
        self._logs = logs
        self._store = store
        self._counts = logs.counts
        self._scoring = Scoring(self._record)
        self._native = NativeRoutes(store, logs, gate, self._scoring)
        self._groups: tuple[RouteGroup, ...] = (
            OpenInferenceRoutes(store, self._scoring),
            MlflowRoutes(store, self._scoring),
            self._native,
        )
        self._by_root = {root: group for group in self._groups for root in group.roots}

    @property
    def addresses(self) -> tuple[tuple[str, str], ...]:
        """(method, address) of everything that this application answers at.

        Ray Serve would take ``routes`` for Starlette's and walk them with every request.
        """
        return tuple(address for group in self._groups for address in group.addresses)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one ASGI connection."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close"})
        else:
            turn = self.ongoing.begin()
            try:
                await self._handle(scope, receive, send)
            finally:
                self.ongoing.end(turn)

    async def _handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        started_s = time.perf_counter()
        path = scope["path"]
        group = self._by_root.get(path[1:].partition("/")[0], self._native)
        route: Route | None = None
        try:
            route = group.find(path)
            answer = await self._answer(route, scope, receive)
        except DisconnectedError:
            return
        except HttpError as exc:
            answer = group.refuse(exc.failure)
        except PilothouseError as exc:
            answer = group.refuse(failure_of(exc))
        except Exception:
            logger.exception("a request failed")
            answer = group.refuse(_FAULT)
        await send_answer(send, answer, with_body=scope["method"] != "HEAD")
        seconds = time.perf_counter() - started_s
        self._count(route, answer.status, seconds)
        if TURN in scope:
            scope[TURN].done(answer.status, seconds)

    async def _answer(self, route: Route, scope: Scope, receive: Receive) -> Answer:
        allowed = ("GET", "HEAD") if route.method == "GET" else (route.method,)
        if scope["method"] not in allowed:
            allow = (b"allow", ", ".join(allowed).encode())
            message = f"This address takes {' and '.join(allowed)} only."
            raise HttpError(405, "method_not_allowed", message, headers=(allow,))
        if route.problem or route.locked:
            # First of all: who has no key learns neither what is served nor sends a body.
            self._gate.admit(scope["headers"], route.problem, route.key_scope)
        return await route.handler(scope, receive)

    def _record(self, answered: Answered) -> None:
        self._counts.add_predictions(answered)
        self._logs.inference.record(answered)

    def _count(self, route: Route | None, status: int, seconds: float) -> None:
        problem, name = (route.problem, route.name) if route else ("", OTHER)
        # A name that a caller has made up is no label: there would be no end to them.
        if problem and not self._store.snapshot.knows(problem):
            problem = ""
        self._counts.note(problem, name, status, seconds)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            else:
                self._scoring.close()
                self._native.close()
                # Ray Serve says this once the last request has been answered.
                await asyncio.to_thread(self._store.close)
                await asyncio.to_thread(self._logs.close)
                await send({"type": "lifespan.shutdown.complete"})
                return
