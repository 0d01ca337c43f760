"""Pilothouse's own routes: health, predictions, late labels, what is served, its document."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import msgspec

from core.access.serving_key import Scope as KeyScope
from core.deployment.answers import REPLICA_HEADER
from core.deployment.metrics import CONTENT_TYPE
from serve.choosing import choose
from serve.docs import render_docs
from serve.gate import Gate
from serve.http import (
    HTML,
    Answer,
    Failure,
    Receive,
    Scope,
    error_answer,
    read_body,
    require_json,
)
from serve.labels import LabelsTaken
from serve.logs import ReplicaLogs
from serve.openapi import build_openapi
from serve.predictor import LoadedModel
from serve.recorder import Record
from serve.routes import Handler, Route, Scoring, json_answer, nothing_here
from serve.schemas import Detail
from serve.store import ModelStore

#: The docs page is our own text; nothing else may load or run in it.
_DOCS_POLICY = (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'")
METRICS = "/metrics"
_OfProblem = Callable[[str, Scope, Receive], Awaitable[Answer]]


class NativeRoutes:
    """Everything that is not of another protocol."""

    def __init__(self, store: ModelStore, logs: ReplicaLogs, gate: Gate, scoring: Scoring) -> None:
        self._store = store
        self._gate = gate
        self._logs = logs
        self._scoring = scoring
        # Labels wait for the disk, predictions do not wait for labels.
        self._labelling = ThreadPoolExecutor(max_workers=1, thread_name_prefix="labels")
        self._fixed: dict[str, Handler] = {
            "/healthz": self._healthz,
            "/readyz": self._readyz,
            "/docs": self._docs,
            "/openapi.json": self._openapi,
        }
        #: Any key of the problem will do where no scope is named.
        self._of_problem: dict[str, tuple[str, _OfProblem, KeyScope | None]] = {
            "problems": ("GET", self._describe, None),
            "predict": ("POST", self._predict, KeyScope.PREDICT),
            "labels": ("POST", self._take_labels, KeyScope.LABELS),
        }

    @property
    def addresses(self) -> tuple[tuple[str, str], ...]:
        """As ``RouteGroup`` says."""
        fixed = [("GET", path) for path in self._fixed]
        of_problem = [(of[0], f"/{name}/{{problem}}") for name, of in self._of_problem.items()]
        return (*fixed, ("GET", METRICS), *of_problem)

    @property
    def roots(self) -> tuple[str, ...]:
        """As ``RouteGroup`` says; what no protocol has is looked for here, too."""
        return tuple(address.split("/")[1] for _, address in self.addresses)

    def find(self, path: str) -> Route:
        """As ``RouteGroup`` says."""
        if path in self._fixed:
            return Route("GET", self._fixed[path])
        if path == METRICS:
            return Route("GET", self._metrics, locked=True)
        first, _, problem = path.removeprefix("/").partition("/")
        if first in self._of_problem and problem and "/" not in problem:
            method, handler, key_scope = self._of_problem[first]
            return Route(method, partial(handler, problem), problem, key_scope, first)
        raise nothing_here()

    def refuse(self, failure: Failure) -> Answer:
        """As ``RouteGroup`` says."""
        return error_answer(failure)

    def close(self) -> None:
        """Ends the thread of labels once they are written."""
        self._labelling.shutdown(wait=False)

    async def _predict(self, problem: str, scope: Scope, receive: Receive) -> Answer:
        chosen = choose(self._store.snapshot, problem, scope)
        require_json(scope)
        body = await read_body(scope, receive, chosen.max_body_bytes)

        def work(model: LoadedModel, record: Record) -> Answer:
            return Answer(model.answer(body, record))

        return await self._scoring.run(len(body), chosen.answers(work))

    async def _take_labels(self, problem: str, scope: Scope, receive: Receive) -> Answer:
        model = self._store.snapshot.model(problem)
        require_json(scope)
        body = await read_body(scope, receive, model.max_body_bytes)

        def take() -> int:
            labels = model.labels.decode(body)
            self._logs.keep_labels(problem, labels)
            return int(labels.num_rows)

        loop = asyncio.get_running_loop()
        return json_answer(LabelsTaken(await loop.run_in_executor(self._labelling, take)))

    async def _describe(self, problem: str, scope: Scope, receive: Receive) -> Answer:
        return json_answer(self._store.snapshot.model(problem).describe())

    async def _healthz(self, scope: Scope, receive: Receive) -> Answer:
        return json_answer({"status": "alive"})

    async def _readyz(self, scope: Scope, receive: Receive) -> Answer:
        snapshot = self._store.snapshot
        whose = ((REPLICA_HEADER.encode(), self._logs.counts.replica.encode()),)
        unready = snapshot.unready()
        if unready:
            details = tuple(Detail(name, reason) for name, reason in unready.items())
            message = "Not every model is loaded."
            return error_answer(Failure(503, "not_ready", message, details, whose))
        problems: dict[str, dict[str, object]] = {
            name: {"version": model.ref.version, "failure": snapshot.failures.get(name, "")}
            for name, model in snapshot.models.items()
        }
        for name in snapshot.beside.keys() & problems.keys():
            problems[name]["beside"] = snapshot.beside[name].state()
        document = {
            "status": "ready",
            "problems": problems,
            "failure": snapshot.config_failure,
            "inference_log": self._logs.inference.state,
        }
        return Answer(msgspec.json.encode(document), headers=whose)

    async def _metrics(self, scope: Scope, receive: Receive) -> Answer:
        page = await asyncio.to_thread(self._logs.counts.page, self._store.snapshot)
        return Answer(page.encode(), content_type=CONTENT_TYPE.encode())

    async def _openapi(self, scope: Scope, receive: Receive) -> Answer:
        return json_answer(self._document())

    async def _docs(self, scope: Scope, receive: Receive) -> Answer:
        page = render_docs(self._document())
        return Answer(page.encode(), content_type=HTML, headers=(_DOCS_POLICY,))

    def _document(self) -> dict[str, Any]:
        snapshot = self._store.snapshot
        problems = [model.problem for _, model in sorted(snapshot.models.items())]
        most = snapshot.config.max_records if snapshot.config else 1
        return build_openapi(problems, max_records=most, keys_required=self._gate.required)
