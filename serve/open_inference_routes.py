"""The routes of the Open Inference Protocol v2."""

from __future__ import annotations

from functools import partial
from importlib.metadata import version

import msgspec

from core.access.serving_key import Scope as KeyScope
from serve.choosing import choose, of_version
from serve.http import (
    Answer,
    Failure,
    HttpError,
    Receive,
    Scope,
    header,
    read_body,
    require_plain_utf8,
    unsupported,
)
from serve.open_inference import (
    JSON_LENGTH,
    model_metadata,
    read_inference,
    write_inference,
)
from serve.predictor import LoadedModel
from serve.recorder import Record
from serve.routes import Handler, Route, Scoring, json_answer, nothing_here
from serve.store import ModelStore

ROOT = "/v2"
_MODELS = f"{ROOT}/models/"
#: With the binary extension a body is not JSON, whatever clients call it.
_MEDIA_TYPES = ("", "application/json", "application/octet-stream")


class OpenInferenceRoutes:
    """Everything at ``/v2`` and below. A model's name is its problem's."""

    def __init__(self, store: ModelStore, scoring: Scoring) -> None:
        self._store = store
        self._scoring = scoring
        self._server: dict[str, Handler] = {
            ROOT: self._metadata,
            f"{ROOT}/": self._metadata,
            f"{ROOT}/health/live": self._live,
            f"{ROOT}/health/ready": self._ready,
        }

    @property
    def addresses(self) -> tuple[tuple[str, str], ...]:
        """As ``RouteGroup`` says."""
        server = [("GET", path) for path in self._server if path != f"{ROOT}/"]
        models = [
            (method, f"{_MODELS}{{problem}}{of_version}{what}")
            for of_version in ("", "/versions/{version}")
            for method, what in (("GET", ""), ("GET", "/ready"), ("POST", "/infer"))
        ]
        return (*server, *models)

    @property
    def roots(self) -> tuple[str, ...]:
        """As ``RouteGroup`` says."""
        return (ROOT.removeprefix("/"),)

    def find(self, path: str) -> Route:
        """As ``RouteGroup`` says."""
        if path in self._server:
            return Route("GET", self._server[path])
        problem, *rest = path.removeprefix(_MODELS).split("/")
        if not path.startswith(_MODELS) or not problem:
            raise nothing_here()
        wanted: str | None = None
        if rest[:1] == ["versions"] and len(rest) > 1:
            wanted, rest = rest[1], rest[2:]
        if rest == ["infer"]:
            handler = partial(self._infer, problem, wanted)
            return Route("POST", handler, problem, KeyScope.PREDICT, "infer")
        if rest == ["ready"]:
            return Route("GET", partial(self._model_ready, problem, wanted), problem)
        if not rest:
            return Route("GET", partial(self._describe, problem, wanted), problem)
        raise nothing_here()

    def refuse(self, failure: Failure) -> Answer:
        """As ``RouteGroup`` says."""
        # The protocol calls a bad request 400.
        status = 400 if failure.status == 422 else failure.status
        body = msgspec.json.encode({"error": failure.in_words()})
        return Answer(body, status, headers=failure.headers)

    def _model(self, problem: str, wanted: str | None) -> LoadedModel:
        """What is told of a model is told of Production."""
        model = self._store.snapshot.model(problem)
        return model if wanted is None else of_version(wanted, model, None)

    async def _metadata(self, scope: Scope, receive: Receive) -> Answer:
        return json_answer(
            {
                "name": "pilothouse",
                "version": version("pilothouse"),
                "extensions": ["binary_tensor_data"],
            }
        )

    async def _live(self, scope: Scope, receive: Receive) -> Answer:
        return json_answer({"live": True})

    async def _ready(self, scope: Scope, receive: Receive) -> Answer:
        unready = self._store.snapshot.unready()
        if unready:
            reasons = "; ".join(f"{name}: {reason}" for name, reason in unready.items())
            raise HttpError(503, "not_ready", f"Not every model is loaded. {reasons}")
        # The text of the specification says "live" here too; servers say "ready".
        return json_answer({"live": True, "ready": True})

    async def _model_ready(
        self, problem: str, wanted: str | None, scope: Scope, receive: Receive
    ) -> Answer:
        return json_answer({"name": self._model(problem, wanted).problem.name, "ready": True})

    async def _describe(
        self, problem: str, wanted: str | None, scope: Scope, receive: Receive
    ) -> Answer:
        return json_answer(model_metadata(self._model(problem, wanted)))

    async def _infer(
        self, problem: str, wanted: str | None, scope: Scope, receive: Receive
    ) -> Answer:
        chosen = choose(self._store.snapshot, problem, scope, wanted)
        if require_plain_utf8(scope) not in _MEDIA_TYPES:
            raise unsupported("Send JSON, or JSON and binary data as application/octet-stream.")
        body = await read_body(scope, receive, chosen.max_body_bytes)
        json_length = header(scope, JSON_LENGTH)

        def work(model: LoadedModel, record: Record) -> Answer:
            inference = read_inference(body, json_length, model.problem.contract)
            scored = model.answer_records(inference.records, record)
            return write_inference(model, inference, scored)

        return await self._scoring.run(len(body), chosen.answers(work))
