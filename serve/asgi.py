"""The routes, as a plain ASGI application over a ``ModelStore``."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec

from core.access.serving_key import Scope as KeyScope
from core.errors import PilothouseError
from serve.docs import render_docs
from serve.gate import Gate
from serve.http import (
    HTML,
    Answer,
    DisconnectedError,
    HttpError,
    Receive,
    Scope,
    Send,
    answer_failure,
    error_answer,
    read_body,
    require_json,
    send_answer,
)
from serve.labels import LabelsTaken
from serve.logs import ReplicaLogs
from serve.openapi import build_openapi
from serve.schemas import Detail
from serve.store import ModelStore

logger = logging.getLogger(__name__)

#: Bodies up to here are answered on the loop: some 300 records, 0.4 ms. Handing a
#: body to a thread and back doubles the time of a single record. See docs/http.md.
INLINE_BYTES = 32 * 1024
#: The docs page is our own text; nothing else may load or run in it.
_DOCS_POLICY = (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'")

Handler = Callable[[Scope, Receive, str], Awaitable[Answer]]


class EndpointApp:
    """Answers HTTP for every problem in the store."""

    def __init__(self, store: ModelStore, logs: ReplicaLogs, gate: Gate) -> None:
        self._store = store
        self._gate = gate
        self._logs = logs
        self._record = logs.inference.record
        # One thread: a second large request at a time would only share the same core.
        self._large = ThreadPoolExecutor(max_workers=1, thread_name_prefix="large-request")
        # Labels wait for the disk, predictions do not wait for labels.
        self._labelling = ThreadPoolExecutor(max_workers=1, thread_name_prefix="labels")
        self._fixed: dict[str, Handler] = {
            "healthz": self._healthz,
            "readyz": self._readyz,
            "docs": self._docs,
            "openapi.json": self._openapi,
        }
        #: Any key of the problem will do where no scope is named.
        self._of_problem: dict[str, tuple[str, Handler, KeyScope | None]] = {
            "problems": ("GET", self._describe, None),
            "predict": ("POST", self._predict, KeyScope.PREDICT),
            "labels": ("POST", self._take_labels, KeyScope.LABELS),
        }

    @property
    def routes(self) -> tuple[str, ...]:
        """Every address this application answers at."""
        of_problem = [f"/{name}/{{problem}}" for name in self._of_problem]
        return (*(f"/{name}" for name in self._fixed), *of_problem)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one ASGI connection."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close"})
        else:
            try:
                answer = await self._answer(scope, receive)
            except DisconnectedError:
                return
            await send_answer(send, answer, with_body=scope["method"] != "HEAD")

    async def _answer(self, scope: Scope, receive: Receive) -> Answer:
        try:
            method, handler, problem, key_scope = self._route(scope["path"])
            allowed = ("GET", "HEAD") if method == "GET" else (method,)
            if scope["method"] not in allowed:
                allow = (b"allow", ", ".join(allowed).encode())
                message = f"This address takes {' and '.join(allowed)} only."
                raise HttpError(405, "method_not_allowed", message, headers=(allow,))
            if problem:
                # First of all: who has no key learns neither what is served nor sends a body.
                self._gate.admit(scope["headers"], problem, key_scope)
            return await handler(scope, receive, problem)
        except HttpError as exc:
            return exc.answer
        except PilothouseError as exc:
            return answer_failure(exc)
        except DisconnectedError:
            raise
        except Exception:
            logger.exception("a request failed")
            return error_answer(500, "internal", "The server failed; its log says why.")

    def _route(self, path: str) -> tuple[str, Handler, str, KeyScope | None]:
        first, _, rest = path.removeprefix("/").partition("/")
        if first in self._fixed and path == f"/{first}":
            return "GET", self._fixed[first], "", None
        if first in self._of_problem and rest and "/" not in rest:
            method, handler, key_scope = self._of_problem[first]
            return method, handler, rest, key_scope
        raise HttpError(404, "not_found", "There is nothing at this address; see /docs.")

    async def _predict(self, scope: Scope, receive: Receive, problem: str) -> Answer:
        # One model for the whole request: a switch of versions cannot come in between.
        model = self._store.snapshot.model(problem)
        require_json(scope)
        body = await read_body(scope, receive, model.max_body_bytes)
        if len(body) > INLINE_BYTES:
            # onnxruntime lets go of the interpreter, so small requests go on meanwhile.
            loop = asyncio.get_running_loop()
            answer = loop.run_in_executor(self._large, model.answer, body, self._record)
            return Answer(await answer)
        # Scoring blocks the loop. One turn before it lets the requests that wait be taken in
        # first, so that Ray Serve counts them as ongoing and sees when to scale.
        await asyncio.sleep(0)
        return Answer(model.answer(body, self._record))

    async def _take_labels(self, scope: Scope, receive: Receive, problem: str) -> Answer:
        model = self._store.snapshot.model(problem)
        require_json(scope)
        body = await read_body(scope, receive, model.max_body_bytes)

        def take() -> int:
            labels = model.labels.decode(body)
            self._logs.keep_labels(problem, labels)
            return int(labels.num_rows)

        loop = asyncio.get_running_loop()
        return _json(LabelsTaken(await loop.run_in_executor(self._labelling, take)))

    async def _describe(self, scope: Scope, receive: Receive, problem: str) -> Answer:
        return _json(self._store.snapshot.model(problem).describe())

    async def _healthz(self, scope: Scope, receive: Receive, problem: str) -> Answer:
        return _json({"status": "alive"})

    async def _readyz(self, scope: Scope, receive: Receive, problem: str) -> Answer:
        snapshot = self._store.snapshot
        unready = snapshot.unready()
        if unready:
            details = [Detail(name, reason) for name, reason in unready.items()]
            return error_answer(503, "not_ready", "Not every model is loaded.", details)
        problems = {
            name: {"version": model.ref.version, "failure": snapshot.failures.get(name, "")}
            for name, model in snapshot.models.items()
        }
        return _json(
            {
                "status": "ready",
                "problems": problems,
                "failure": snapshot.config_failure,
                "inference_log": self._logs.inference.state,
            }
        )

    async def _openapi(self, scope: Scope, receive: Receive, problem: str) -> Answer:
        return _json(self._document())

    async def _docs(self, scope: Scope, receive: Receive, problem: str) -> Answer:
        page = render_docs(self._document())
        return Answer(page.encode(), content_type=HTML, headers=(_DOCS_POLICY,))

    def _document(self) -> dict[str, Any]:
        models = self._store.snapshot.models
        problems = [model.problem for _, model in sorted(models.items())]
        return build_openapi(problems, keys_required=self._gate.required)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            else:
                self._large.shutdown(wait=False)
                self._labelling.shutdown(wait=False)
                # Ray Serve says this once the last request has been answered.
                await asyncio.to_thread(self._logs.close)
                await send({"type": "lifespan.shutdown.complete"})
                return


def _json(document: object) -> Answer:
    return Answer(msgspec.json.encode(document))
