"""The routes of MLflow's scoring protocol."""

from __future__ import annotations

from functools import partial
from importlib.metadata import version

import msgspec

from core.access.serving_key import Scope as KeyScope
from serve.choosing import choose
from serve.http import (
    Answer,
    Failure,
    HttpError,
    Receive,
    Scope,
    read_body,
    require_plain_utf8,
    unsupported,
)
from serve.invocations import CSV, read_records, write_predictions
from serve.predictor import LoadedModel
from serve.recorder import Record
from serve.routes import Handler, Route, Scoring, nothing_here
from serve.store import ModelStore

ROOT = "/invocations"
#: MLflow calls these answers JSON, which they are not; its clients do not look.
_PLAIN = b"text/plain; charset=utf-8"
_MEDIA_TYPES = ("", "application/json", CSV)
#: Status -> the name that MLflow has for it; others are bad requests.
_CODES = {
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "RESOURCE_DOES_NOT_EXIST",
    429: "REQUEST_LIMIT_EXCEEDED",
    500: "INTERNAL_ERROR",
    503: "TEMPORARILY_UNAVAILABLE",
}


class MlflowRoutes:
    """``/invocations`` and what belongs to it. MLflow serves one model, we may serve several."""

    def __init__(self, store: ModelStore, scoring: Scoring) -> None:
        self._store = store
        self._scoring = scoring
        self._fixed: dict[str, Handler] = {
            "/ping": self._ping,
            "/health": self._ping,
            "/version": self._version,
        }

    @property
    def addresses(self) -> tuple[tuple[str, str], ...]:
        """As ``RouteGroup`` says."""
        fixed = [("GET", path) for path in self._fixed]
        return (*fixed, ("POST", ROOT), ("POST", f"{ROOT}/{{problem}}"))

    @property
    def roots(self) -> tuple[str, ...]:
        """As ``RouteGroup`` says."""
        return tuple(path.removeprefix("/") for path in (*self._fixed, ROOT))

    def find(self, path: str) -> Route:
        """As ``RouteGroup`` says."""
        if path in self._fixed:
            return Route("GET", self._fixed[path])
        problem = path.removeprefix(ROOT).removeprefix("/")
        if path == ROOT:
            problem = self._only_problem()
        if not problem or "/" in problem:
            raise nothing_here()
        handler = partial(self._invoke, problem)
        return Route("POST", handler, problem, KeyScope.PREDICT, "invocations")

    def refuse(self, failure: Failure) -> Answer:
        """As ``RouteGroup`` says."""
        # MLflow calls input that does not fit a bad request.
        status = 400 if failure.status == 422 else failure.status
        code = _CODES.get(status, "BAD_REQUEST")
        body = msgspec.json.encode({"error_code": code, "message": failure.in_words()})
        return Answer(body, status, headers=failure.headers)

    def _only_problem(self) -> str:
        config = self._store.snapshot.config
        configured = list(config.models) if config else []
        if len(configured) != 1:
            message = "This address is for a server of one model; use /invocations/{problem}."
            raise HttpError(404, "not_found", message)
        return configured[0]

    async def _ping(self, scope: Scope, receive: Receive) -> Answer:
        if self._store.snapshot.unready():
            raise HttpError(503, "not_ready", "Not every model is loaded; /readyz says why.")
        return Answer(b"\n", content_type=_PLAIN)

    async def _version(self, scope: Scope, receive: Receive) -> Answer:
        # Of the protocol: clients ask for it to know what they talk to.
        return Answer(version("mlflow").encode(), content_type=_PLAIN)

    async def _invoke(self, problem: str, scope: Scope, receive: Receive) -> Answer:
        chosen = choose(self._store.snapshot, problem, scope)
        kind = require_plain_utf8(scope)
        if kind not in _MEDIA_TYPES:
            raise unsupported("Send application/json or text/csv.")
        body = await read_body(scope, receive, chosen.max_body_bytes)

        def work(model: LoadedModel, record: Record) -> Answer:
            records = read_records(body, kind, model.problem.contract)
            return write_predictions(model, model.answer_records(records, record))

        return await self._scoring.run(len(body), chosen.answers(work))
