"""Late labels by HTTP, and the log of what was answered, as a caller sees them."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.data.label_join import LabelsReport, join
from core.data.labels import LabelLog
from core.deployment.inference_log import InferenceLog
from core.errors import InvalidInputError
from core.scoring.bundle import BundleRef
from serve.asgi import EndpointApp
from serve.labels import LabelDecoder
from serve.logs import ReplicaLogs
from serve.store import ModelStore
from tests.serving_support import (
    RECORD,
    TITANIC,
    artifact_server,
    open_gate,
    user_config,
    write_tiny_bundle,
)

#: A thread of the log has to come to it, on a machine that may be busy.
PATIENCE_S = 30.0
ID = "0123456789abcdef" * 2


@dataclass(frozen=True)
class Replica:
    app: EndpointApp
    store: ModelStore
    logs: ReplicaLogs
    home: Path

    def call(self, method: str, path: str, **given: Any) -> httpx.Response:
        async def once() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://serving") as client:
                return await client.request(method, path, **given)

        return asyncio.run(once())

    def label(self, *labels: object) -> httpx.Response:
        return self.call("POST", "/labels/titanic", json={"labels": labels})

    def end(self) -> None:
        """What Ray Serve does with a replica that has answered its last request."""

        async def lifespan() -> None:
            async def receive() -> dict[str, Any]:
                return {"type": "lifespan.shutdown"}

            async def send(message: Any) -> None:
                assert message["type"] == "lifespan.shutdown.complete"

            await self.app({"type": "lifespan"}, receive, send)

        asyncio.run(lifespan())


@pytest.fixture
def replica(tmp_path: Path) -> Iterator[Replica]:
    write_tiny_bundle(tmp_path / "artifacts" / "1")
    write_tiny_bundle(tmp_path / "artifacts" / "2", bias=3.0)
    store, logs = ModelStore(), ReplicaLogs("r1")
    with artifact_server(tmp_path / "artifacts") as url:
        for version in (2, 1):
            ref = BundleRef(problem="titanic", version=version, url=f"{url}/{version}")
            store.apply(user_config(tmp_path / "cache", titanic=ref))
    assert store.snapshot.config is not None
    logs.configure(store.snapshot.config)
    yield Replica(EndpointApp(store, logs, open_gate()), store, logs, tmp_path)
    logs.close()


def test_predictions_are_joined_with_labels_that_come_later(replica: Replica) -> None:
    answers = [
        replica.call("POST", "/predict/titanic", json={"records": [RECORD] * size}).json()
        for size in (2, 1, 3000)
    ]
    first, second, large = (answer["request_id"] for answer in answers)
    given_labels = [
        {"request_id": first, "index": 1, "label": 1},
        {"request_id": second, "index": 0, "label": 0},
        {"request_id": large, "index": 2999, "label": 1},
        {"request_id": second, "index": 0, "label": 0},
        {"request_id": second, "index": 1, "label": 0},
    ]
    response = replica.label(*given_labels)
    assert (response.status_code, response.json()) == (200, {"taken": 5})
    taken = LabelLog(replica.home / "labels").labels("titanic")
    assert taken["by"].to_pylist() == ["http"] * 5

    replica.end()
    rows = InferenceLog(replica.home / "inference").window("titanic")
    assert rows.num_rows == 3003
    assert set(rows["version"].to_pylist()) == {1}
    found = join(rows, taken)
    assert found.report == LabelsReport(joined=3, duplicates=1, conflicts=0, strangers=1)
    known = {
        (row["request_id"], row["row_id"]): row["label"]
        for row in found.table.select(["request_id", "row_id", "label"]).to_pylist()
        if row["label"] is not None
    }
    assert known == {(first, 1): 1.0, (second, 0): 0.0, (large, 2999): 1.0}


def test_a_refused_request_and_one_never_answered_are_not_logged(replica: Replica) -> None:
    assert replica.call("POST", "/predict/titanic", json={"records": [{}]}).status_code == 422
    assert replica.call("GET", "/problems/titanic").status_code == 200
    replica.end()
    assert InferenceLog(replica.home / "inference").window("titanic").num_rows == 0


def test_every_wrong_label_is_named(replica: Replica) -> None:
    right = {"request_id": ID, "index": 0, "label": 1}
    response = replica.label(
        right,
        {**right, "request_id": "x"},
        {**right, "index": -1, "label": "yes"},
        {**right, "index": 5000},
        {**right, "index": 1.5},
        {**right, "label": True},
        {"label": 0},
        7,
        {**right, "by": "me"},
    )
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (422, "invalid_input")
    assert error["message"] == "The request breaks 10 rules."
    an_id = "must be the request_id of an answer: 32 hexadecimal digits"
    an_index = "must be a whole number from 0 to 4,999"
    assert {(d["field"], d["problem"]) for d in error["details"]} == {
        ("labels[1].request_id", an_id),
        ("labels[2].index", an_index),
        ("labels[2].label", "must be 0 or 1"),
        ("labels[3].index", an_index),
        ("labels[4].index", an_index),
        ("labels[5].label", "must be 0 or 1"),
        ("labels[6].request_id", "is required"),
        ("labels[6].index", "is required"),
        ("labels[7]", "must be an object, not a number"),
        ("labels[8].by", "unknown field"),
    }
    assert LabelLog(replica.home / "labels").labels("titanic").num_rows == 0


@pytest.mark.parametrize(
    ("body", "field", "problem"),
    [
        (b"", "body", "is not valid JSON"),
        (b"[]", "body", 'must be an object with "labels", not a list'),
        (b"{}", "labels", "is required"),
        (b'{"labels": 1}', "labels", "must be a list of objects, not a number"),
        (b'{"labels": []}', "labels", "must hold at least one label"),
        (
            b'{"labels": [' + b"1," * 5000 + b"1]}",
            "labels",
            "holds 5,001 labels; at most 5,000 fit",
        ),
        (b'{"records": [], "labels": []}', "records", "unknown field"),
        (
            b'{"labels": [{"request_id": 1, "index": "\\ud800", "label": 1}]}',
            "labels[0].index",
            "must be a whole number",
        ),
    ],
)
def test_a_body_that_holds_no_labels(
    replica: Replica, body: bytes, field: str, problem: str
) -> None:
    response = replica.call("POST", "/labels/titanic", content=body)
    assert response.status_code == 422
    found = {d["field"]: d["problem"] for d in response.json()["error"]["details"]}
    assert found[field].startswith(problem)


def test_bodies_that_are_no_labels_are_refused_like_others(replica: Replica) -> None:
    call = replica.call
    assert call("POST", "/labels/titanic", content=b" " * (2**20 + 1)).status_code == 413
    assert call("POST", "/labels/pears", json={"labels": []}).status_code == 404
    headers = {"content-type": "text/csv"}
    assert call("POST", "/labels/titanic", content=b"a", headers=headers).status_code == 415


def test_labels_that_cannot_be_kept_are_not_taken(replica: Replica) -> None:
    (replica.home / "labels").write_text("a file where a folder should be")
    response = replica.label({"request_id": ID, "index": 0, "label": 1})
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (503, "unavailable")
    assert "none was taken" in error["message"]


def test_readiness_tells_of_a_log_that_cannot_be_written(replica: Replica) -> None:
    (replica.home / "inference").write_text("a file where a folder should be")
    assert replica.call("POST", "/predict/titanic", json={"records": [RECORD]}).status_code == 200
    told: dict[str, Any] = {}
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        told = replica.call("GET", "/readyz").json()["inference_log"]
        if told["failure"]:
            break
        time.sleep(0.01)
    assert told["failure"]
    assert (told["waiting_rows"], told["lost_rows"]) == (1, 0)
    (replica.home / "inference").unlink()
    replica.end()
    assert replica.logs.inference.state.written_rows == 1


def test_a_new_version_in_place_is_logged_as_such(replica: Replica) -> None:
    def ask() -> int:
        answer = replica.call("POST", "/predict/titanic", json={"records": [RECORD]}).json()
        return int(answer["model_version"])

    assert ask() == 1
    config = replica.store.snapshot.config
    assert config is not None
    changed = config.model_dump(mode="json")
    url = changed["models"]["titanic"]["production"]["url"].removesuffix("1") + "2"
    changed["models"]["titanic"]["production"].update(version=2, url=url)
    replica.store.apply(changed)
    assert replica.store.snapshot.config is not None
    replica.logs.configure(replica.store.snapshot.config)
    assert ask() == 2
    replica.end()
    rows = InferenceLog(replica.home / "inference").window("titanic")
    assert rows["version"].to_pylist() == [1, 2]


def test_openapi_says_what_labels_look_like(replica: Replica) -> None:
    document = replica.call("GET", "/openapi.json").json()
    operation = document["paths"]["/labels/titanic"]["post"]
    content = operation["requestBody"]["content"]["application/json"]
    components = {"components": document["components"]}
    request = {**content["schema"], **components}
    jsonschema.Draft202012Validator.check_schema(request)
    jsonschema.validate(content["example"], request)
    answer = replica.call("POST", "/labels/titanic", json=content["example"])
    schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
    jsonschema.validate(answer.json(), {**schema, **components})
    for change in ({"label": 2}, {"label": "1"}, {"index": -1}, {"request_id": "x"}, {"more": 1}):
        bad = {"labels": [{**content["example"]["labels"][0], **change}]}
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(bad, request)
        assert replica.call("POST", "/labels/titanic", json=bad).status_code == 422
    page = replica.call("GET", "/docs").text
    assert "/labels/titanic" in page
    assert "Index of the record in the request" in page


_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["labels", "request_id", "index", "label"]), inner)
    ),
    max_leaves=8,
)
_ENTRY = st.fixed_dictionaries(
    {"request_id": st.just(ID) | _JSON, "index": st.integers() | _JSON, "label": st.just(1) | _JSON}
)
DECODER = LabelDecoder(TITANIC.contract, 100)


def test_an_index_may_be_written_as_a_float_and_costs_no_search() -> None:
    """A ``range`` of so many would be walked for years."""
    decoder = LabelDecoder(TITANIC.contract, 10**12)
    entry = {"request_id": ID, "index": 999_999_999_999.0, "label": 1}
    assert decoder.decode(json.dumps({"labels": [entry]}).encode())["row_id"].to_pylist() == [
        999_999_999_999
    ]
    for wrong in (0.5, -1.0, 1e12):
        with pytest.raises(InvalidInputError):
            decoder.decode(json.dumps({"labels": [{**entry, "index": wrong}]}).encode())


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=60) | (_JSON | st.lists(_ENTRY).map(lambda e: {"labels": e})))
def test_the_decoder_and_the_explanation_agree(body: Any) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    try:
        labels = DECODER.decode(content)
    except InvalidInputError as exc:
        named = exc.offences
    else:
        named = body["labels"]
        assert labels.num_rows == len(named)
    assert named
