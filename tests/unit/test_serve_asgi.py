"""The routes, asked as a caller would ask them."""

from __future__ import annotations

import asyncio
import json
import logging
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.deployment.answers import REPLICA_HEADER
from core.scoring.bundle import BundleRef
from core.settings import CODE_ROOT
from serve.asgi import EndpointApp
from serve.logs import ReplicaLogs
from serve.routes import INLINE_BYTES
from serve.store import ModelStore
from tests.serving_support import (
    RECORD,
    THRESHOLD,
    artifact_server,
    expected_probability,
    open_gate,
    user_config,
    write_tiny_bundle,
)

Caller = Any


@cache
def silent_logs() -> ReplicaLogs:
    """Logs that nobody has told where to write."""
    return ReplicaLogs("test")


def app_of(store: ModelStore) -> EndpointApp:
    return EndpointApp(store, silent_logs(), open_gate())


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ModelStore:
    folder = tmp_path_factory.mktemp("serve")
    write_tiny_bundle(folder / "artifacts" / "7")
    with artifact_server(folder / "artifacts") as url:
        ref = BundleRef(problem="titanic", version=7, url=f"{url}/7")
        store = ModelStore()
        store.apply(user_config(folder / "cache", titanic=ref))
    return store


def call(store: ModelStore, method: str, path: str, **given: Any) -> httpx.Response:
    async def once() -> httpx.Response:
        transport = httpx.ASGITransport(app_of(store))
        async with httpx.AsyncClient(transport=transport, base_url="http://serving") as client:
            return await client.request(method, path, **given)

    return asyncio.run(once())


def predict(store: ModelStore, *records: object) -> httpx.Response:
    return call(store, "POST", "/predict/titanic", json={"records": records})


def error_of(response: httpx.Response) -> dict[str, Any]:
    """The error, once its shape has been checked."""
    body = response.json()
    assert list(body) == ["error"]
    error = body["error"]
    assert list(error) == ["code", "message", "details"]
    assert all(list(detail) == ["field", "problem"] for detail in error["details"])
    assert response.headers["content-type"] == "application/json"
    return dict(error)


def test_predictions_are_the_models(store: ModelStore) -> None:
    records = [
        RECORD,
        {**RECORD, "Sex": "female"},
        {**RECORD, "Sex": "not seen", "Age": None, "PassengerId": 5},
    ]
    response = predict(store, *records)
    body = response.json()
    assert response.status_code == 200
    assert list(body) == ["request_id", "model_version", "predictions"]
    assert body["model_version"] == 7
    assert len(body["request_id"]) == 32
    for record, prediction in zip(records, body["predictions"], strict=True):
        expected = expected_probability(record)
        assert prediction["probability"] == pytest.approx(expected, abs=1e-6)
        assert prediction["label"] == int(expected >= THRESHOLD)
    assert {p["label"] for p in body["predictions"]} == {0, 1}


def test_every_request_has_an_id_of_its_own(store: ModelStore) -> None:
    answers = [predict(store, RECORD).json() for _ in range(3)]
    assert len({answer["request_id"] for answer in answers}) == 3


def test_a_large_request_gives_what_small_ones_give(store: ModelStore) -> None:
    records = [{**RECORD, "Age": age % 100} for age in range(3000)]
    assert len(json.dumps(records)) > INLINE_BYTES
    body = predict(store, *records).json()
    found = [p["probability"] for p in body["predictions"]]
    assert np.allclose(found, [expected_probability(r) for r in records], atol=1e-6)


def test_bad_input_names_every_field(store: ModelStore) -> None:
    response = predict(store, RECORD, {**RECORD, "Pclass": 9, "Sex": None, "Colour": 1})
    assert response.status_code == 422
    error = error_of(response)
    assert error["code"] == "invalid_input"
    assert error["message"] == "The request breaks 3 rules."
    assert error["details"] == [
        {"field": "records[1].Pclass", "problem": "must be at most 3"},
        {"field": "records[1].Sex", "problem": "must not be null"},
        {"field": "records[1].Colour", "problem": "unknown field"},
    ]


def test_a_large_bad_request_is_answered_too(store: ModelStore) -> None:
    response = predict(store, *[{**RECORD, "Age": "?"}] * 1000)
    assert response.status_code == 422
    assert len(error_of(response)["details"]) == 100


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("POST", "/healthz", "GET, HEAD"),
        ("DELETE", "/problems/titanic", "GET, HEAD"),
        ("GET", "/labels/titanic", "POST"),
        ("GET", "/predict/titanic", "POST"),
        ("OPTIONS", "/predict/titanic", "POST"),
    ],
)
def test_a_wrong_method_is_told_the_right_one(
    store: ModelStore, method: str, path: str, allow: str
) -> None:
    response = call(store, method, path)
    assert response.status_code == 405
    assert response.headers["allow"] == allow
    assert error_of(response)["code"] == "method_not_allowed"


@pytest.mark.parametrize(
    "path", ["/", "/predict", "/predict/", "/predict/titanic/x", "/healthz/", "/nothing"]
)
def test_an_unknown_address(store: ModelStore, path: str) -> None:
    response = call(store, "POST", path)
    assert response.status_code == 404
    assert error_of(response)["code"] == "not_found"


@pytest.mark.parametrize("problem", ["nothing", "%00", "..", "é" * 500, "Titanic"])
def test_an_unknown_problem(store: ModelStore, problem: str) -> None:
    for method, route in (("POST", "predict"), ("POST", "labels"), ("GET", "problems")):
        response = call(store, method, f"/{route}/{problem}")
        assert response.status_code == 404
        error_of(response)


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "text/csv"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "application/json; charset=latin-1"},
        {"content-type": "application/json", "content-encoding": "gzip"},
    ],
)
def test_a_body_that_is_not_json_in_utf8(store: ModelStore, headers: dict[str, str]) -> None:
    response = call(store, "POST", "/predict/titanic", content=b"{}", headers=headers)
    assert response.status_code == 415
    assert error_of(response)["code"] == "unsupported_media_type"


@pytest.mark.parametrize("kind", [None, "application/json; charset=UTF-8", "application/x+json"])
def test_ways_to_say_json(store: ModelStore, kind: str | None) -> None:
    headers = {} if kind is None else {"content-type": kind}
    body = json.dumps({"records": [RECORD]}).encode()
    response = call(store, "POST", "/predict/titanic", content=body, headers=headers)
    assert response.status_code == 200


def test_a_body_over_the_limit(store: ModelStore) -> None:
    assert call(store, "POST", "/predict/titanic", content=b" " * 2**20).status_code == 422
    response = call(store, "POST", "/predict/titanic", content=b" " * (2**20 + 1))
    assert response.status_code == 413
    assert error_of(response)["message"] == "The body is larger than 1 MiB."


def test_a_body_over_the_limit_that_hides_its_length(store: ModelStore) -> None:
    async def parts() -> Any:
        for _ in range(20):
            yield b" " * 100_000

    response = call(store, "POST", "/predict/titanic", content=parts())
    assert response.status_code == 413


@settings(max_examples=150, deadline=None)
@given(
    body=st.one_of(
        st.binary(max_size=200),
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.sampled_from(["records", "Age", "Sex", ""]), inner, max_size=3)
            ),
        ).map(lambda value: json.dumps(value).encode()),
        st.lists(st.sampled_from([b'{"records":[', b'{"Age":', b"[", b"1e999", b"}", b'"\\ud800"']))
        .map(b"".join)
        .map(lambda text: text * 50),
    )
)
def test_garbage_is_refused_in_one_shape(store: ModelStore, body: bytes) -> None:
    response = call(store, "POST", "/predict/titanic", content=body)
    assert response.status_code == 422
    assert error_of(response)["details"]


def test_a_caller_who_leaves_gets_no_answer(store: ModelStore) -> None:
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/predict/titanic", "headers": []}
    asyncio.run(app_of(store)(scope, receive, send))
    assert sent == []


def test_the_served_version_is_described(store: ModelStore) -> None:
    body = call(store, "GET", "/problems/titanic").json()
    assert body["version"] == 7
    assert {k: body[k] for k in ("run_id", "data_version", "git_commit")} == {
        "run_id": "run",
        "data_version": "data",
        "git_commit": "commit",
    }
    assert body["metrics"] == {"auc": 0.8}
    assert body["threshold"] == THRESHOLD
    inputs = {field["name"]: field for field in body["signature"]["inputs"]}
    assert inputs["Age"]["nullable"] is True
    assert (inputs["Pclass"]["minimum"], inputs["Pclass"]["maximum"]) == (1, 3)
    assert inputs["Embarked"]["categories"] == ["C", "Q", "S"]
    assert body["signature"]["label"]["positive"] == 1
    reduced = {text["name"]: text["into"] for text in body["signature"]["reduced"]}
    assert reduced == {"Name": "Title", "Cabin": "Deck"}


def test_health_and_readiness(store: ModelStore) -> None:
    assert call(store, "GET", "/healthz").json() == {"status": "alive"}
    assert call(store, "GET", "/readyz").json() == {
        "status": "ready",
        "problems": {"titanic": {"version": 7, "failure": ""}},
        "failure": "",
        "inference_log": {
            "waiting_rows": 0,
            "written_rows": 0,
            "lost_rows": 0,
            "failure": "",
        },
    }


def test_readiness_says_whose_it_is(store: ModelStore) -> None:
    assert call(store, "GET", "/readyz").headers[REPLICA_HEADER] == "test"
    assert call(ModelStore(), "GET", "/readyz").headers[REPLICA_HEADER] == "test"


def test_unready_says_why(tmp_path: Path) -> None:
    empty = ModelStore()
    assert call(empty, "GET", "/healthz").status_code == 200
    response = call(empty, "GET", "/readyz")
    assert response.status_code == 503
    assert error_of(response)["details"][0]["problem"] == "No model is configured."
    ref = BundleRef(problem="titanic", version=1, url="http://127.0.0.1:9/gone")
    empty.apply(user_config(tmp_path, titanic=ref))
    response = call(empty, "GET", "/readyz")
    assert error_of(response)["details"][0]["field"] == "titanic"
    response = predict(empty, RECORD)
    assert response.status_code == 503
    assert "MLflow does not answer" in error_of(response)["message"]


def test_answers_are_neither_sniffed_nor_stored(store: ModelStore) -> None:
    for path in ("/healthz", "/docs", "/nothing"):
        headers = call(store, "GET", path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"


def test_head_is_get_without_a_body(store: ModelStore) -> None:
    response = call(store, "HEAD", "/healthz")
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["content-length"] == "18"


def test_a_failure_of_ours_keeps_the_shape_and_tells_nothing() -> None:
    class Broken(ModelStore):
        @property
        def snapshot(self) -> Any:
            raise RuntimeError("secret")

        @snapshot.setter
        def snapshot(self, value: Any) -> None:
            pass

    response = call(Broken(), "GET", "/readyz")
    assert response.status_code == 500
    assert error_of(response)["code"] == "internal"
    assert "secret" not in response.text


def test_openapi_says_what_the_server_does(store: ModelStore) -> None:
    document = call(store, "GET", "/openapi.json").json()
    assert document["openapi"] == "3.1.0"
    operation = document["paths"]["/predict/titanic"]["post"]
    content = operation["requestBody"]["content"]["application/json"]
    components = {"components": document["components"]}
    request = {**content["schema"], **components}
    jsonschema.Draft202012Validator.check_schema(request)
    jsonschema.validate(content["example"], request)
    named = {"records": [{**RECORD, "Name": "Braund, Mr. Owen Harris", "Cabin": None}]}
    jsonschema.validate(named, request)
    answer = call(store, "POST", "/predict/titanic", json=content["example"])
    schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
    jsonschema.validate(answer.json(), {**schema, **components})
    for change in ({"Pclass": 4}, {"Age": "x"}, {"Sex": None}, {"Colour": 1}, {"Name": 5}):
        bad = {"records": [{**RECORD, **change}]}
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(bad, request)
        refused = call(store, "POST", "/predict/titanic", json=bad)
        error = operation["responses"]["422"]["content"]["application/json"]["schema"]
        jsonschema.validate(refused.json(), {**error, **components})


def test_a_name_is_neither_answered_nor_logged(
    store: ModelStore, caplog: pytest.LogCaptureFixture
) -> None:
    planted = {"Name": "Quetzalcoatl, Master. Xerxes", "Cabin": "C987654"}
    with caplog.at_level(logging.DEBUG):
        for change in ({}, {"Pclass": 9}, {"Cabin": [planted["Name"]]}):
            body = {"records": [{**RECORD, **planted, **change}]}
            response = call(store, "POST", "/predict/titanic", json=body)
            assert response.status_code == (422 if change else 200)
            for word in ("Quetzalcoatl", "Xerxes", "987654"):
                assert word not in response.text
                assert word not in caplog.text


def test_every_route_is_in_the_document(store: ModelStore) -> None:
    paths = call(store, "GET", "/openapi.json").json()["paths"]
    told = {path.replace("titanic", "{problem}") for path in paths}
    assert told == {address for _, address in app_of(store).addresses}
    page = (CODE_ROOT / "docs" / "http.md").read_text(encoding="utf-8")
    assert [path for path in told if path not in page] == []


def test_the_docs_page_stands_alone(store: ModelStore) -> None:
    response = call(store, "GET", "/docs")
    assert response.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in response.headers["content-security-policy"]
    for word in ("/predict/titanic", "Pclass", "Ticket class", "curl"):
        assert word in response.text

    class References(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.found: list[str | None] = []

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            assert tag not in ("script", "link", "img", "iframe")
            self.found += [value for name, value in attrs if name in ("href", "src")]

    page = References()
    page.feed(response.text)
    assert page.found == ["openapi.json"]


def test_lifespan_and_websockets(store: ModelStore) -> None:
    async def talk(scope: dict[str, Any], *messages: str) -> list[str]:
        incoming = iter(messages)
        sent: list[str] = []

        async def receive() -> dict[str, Any]:
            return {"type": next(incoming)}

        async def send(message: Any) -> None:
            sent.append(message["type"])

        logs = ReplicaLogs("ends")
        await EndpointApp(store, logs, open_gate())(scope, receive, send)
        return sent

    lifespan = talk({"type": "lifespan"}, "lifespan.startup", "lifespan.shutdown")
    assert asyncio.run(lifespan) == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert asyncio.run(talk({"type": "websocket"})) == ["websocket.close"]
