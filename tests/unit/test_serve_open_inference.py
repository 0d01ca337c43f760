"""The Open Inference Protocol, held against its published OpenAPI document."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema.validators import extend

from serve.asgi import EndpointApp
from serve.store import ModelStore
from tests.serving_support import RECORD, open_gate
from tests.unit.protocols import (
    PROBLEMS,
    VERSION,
    Endpoint,
    endpoint,
    infer_binary,
    infer_document,
    read_infer,
    records_of,
)

PUBLISHED = json.loads(
    (Path(__file__).parent / "recorded" / "open_inference" / "dataplane.json").read_text("utf-8")
)
#: The document says ``bytes`` where data are binary, which JSON Schema has no word for.
_VALIDATOR = extend(
    jsonschema.Draft7Validator,
    type_checker=jsonschema.Draft7Validator.TYPE_CHECKER.redefine(
        "bytes", lambda checker, value: isinstance(value, bytes)
    ),
)
TITANIC = PROBLEMS["titanic"]
INFER = "/v2/models/titanic/infer"
LENGTH = "Inference-Header-Content-Length"
#: A record without the fields that may be missing.
REQUIRED = {name: RECORD[name] for name in ("Pclass", "Sex", "SibSp", "Parch")}


@pytest.fixture(scope="module")
def end(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    with endpoint(tmp_path_factory.mktemp("oip")) as serving:
        yield serving


def conforms(name: str, document: object) -> None:
    """Fails unless the document is what the published one calls ``name``."""
    root = {"$ref": f"#/components/schemas/{name}", "components": PUBLISHED["components"]}
    _VALIDATOR(root).validate(document)


def tensor(name: str, datatype: str, data: list[Any], **changed: Any) -> dict[str, Any]:
    return {"name": name, "shape": [len(data)], "datatype": datatype, "data": data, **changed}


def required(**changed: dict[str, Any]) -> list[dict[str, Any]]:
    """Inputs of one record; ``changed`` replaces or adds tensors by name."""
    kinds = {"Pclass": "INT64", "Sex": "BYTES", "SibSp": "INT64", "Parch": "INT64"}
    inputs = {name: tensor(name, kinds[name], [value]) for name, value in REQUIRED.items()}
    return list((inputs | changed).values())


def infer(end: Endpoint, inputs: list[dict[str, Any]], **more: Any) -> httpx.Response:
    return end.call("POST", INFER, json={"inputs": inputs, **more})


def probability(response: httpx.Response) -> float:
    assert response.status_code == 200, response.text
    return float(read_infer(response)["probability"][0])


def predicted(end: Endpoint, **changed: Any) -> float:
    body = {"records": [{**REQUIRED, **changed}]}
    answer = end.call("POST", "/predict/titanic", json=body).json()
    return float(answer["predictions"][0]["probability"])


def refused(response: httpx.Response, status: int = 400) -> str:
    """What the error says, once its shape has been checked."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    assert list(response.json()) == ["error"]
    conforms("InferenceErrorResponse", response.json())
    return str(response.json()["error"])


def test_every_published_path_is_answered(end: Endpoint) -> None:
    streams = ("generate", "_stream")
    paths = {p: m for p, m in PUBLISHED["paths"].items() if not any(s in p for s in streams)}
    assert len(paths) == 9
    names = {
        "/v2": "MetadataServerResponse",
        "/v2/models/{model_name}": "MetadataModelResponse",
        "/v2/models/{model_name}/versions/{model_version}": "MetadataModelResponse",
    }
    body = infer_document(TITANIC, records_of(TITANIC, 3, seed=1))
    for path, methods in paths.items():
        address = path.format(model_name="titanic", model_version=VERSION)
        for method in methods.keys() & {"get", "post"}:
            sent = {"json": body} if method == "post" else {}
            response = end.call(method.upper(), address, **sent)
            assert response.status_code == 200, (path, response.text)
            name = "InferenceResponse" if method == "post" else names.get(path)
            if name:
                conforms(name, response.json())


def test_our_requests_are_what_is_published() -> None:
    for problem in PROBLEMS.values():
        conforms("InferenceRequest", infer_document(problem, records_of(problem, 3, seed=1)))


def test_the_server_says_what_it_is(end: Endpoint) -> None:
    told = end.call("GET", "/v2").json()
    assert told["name"] == "pilothouse"
    assert told["extensions"] == ["binary_tensor_data"]
    assert end.call("GET", "/v2/").json() == told
    assert end.call("GET", "/v2/health/live").json() == {"live": True}
    assert end.call("GET", "/v2/health/ready").json() == {"live": True, "ready": True}
    ready = end.call("GET", f"/v2/models/car_loan/versions/{VERSION}/ready")
    assert ready.json() == {"name": "car_loan", "ready": True}


def test_metadata_name_every_input(end: Endpoint) -> None:
    told = end.call("GET", "/v2/models/titanic").json()
    assert (told["name"], told["versions"]) == ("titanic", [str(VERSION)])
    kinds = {one["name"]: one["datatype"] for one in told["inputs"]}
    assert tuple(kinds) == TITANIC.contract.names
    assert (kinds["Pclass"], kinds["Age"], kinds["Sex"]) == ("INT64", "FP64", "BYTES")
    outputs = {one["name"]: one["datatype"] for one in told["outputs"]}
    assert outputs == {"label": "INT64", "probability": "FP64"}
    assert {tuple(one["shape"]) for one in told["inputs"] + told["outputs"]} == {(-1,)}


def test_the_id_comes_back(end: Endpoint) -> None:
    body = infer(end, required(), id="mine").json()
    assert (body["id"], body["model_name"], body["model_version"]) == ("mine", "titanic", "7")
    assert len(body["parameters"]["request_id"]) == 32
    body = infer(end, required(), id=None, parameters=None, outputs=None).json()
    assert body["id"] == body["parameters"]["request_id"]


def test_outputs_are_chosen(end: Endpoint) -> None:
    body = infer(end, required(), outputs=[{"name": "probability"}]).json()
    assert [one["name"] for one in body["outputs"]] == ["probability"]
    wanted = [{"name": "probability"}, {"name": "label", "parameters": {"binary_data": True}}]
    response = infer(end, required(), outputs=wanted)
    assert list(read_infer(response)) == ["probability", "label"]
    assert LENGTH.lower() in response.headers
    for wrong in ([{"name": "logit"}], [{"name": "label"}, {"name": "label"}]):
        assert wrong[0]["name"] in refused(infer(end, required(), outputs=wrong))


@pytest.mark.parametrize("missing", [None, "", "left out"])
def test_ways_to_leave_a_value_out(end: Endpoint, missing: str | None) -> None:
    more = {}
    if missing != "left out":
        more = {
            "Age": tensor("Age", "FP64", [None]),
            "Embarked": tensor("Embarked", "BYTES", [missing]),
            "Name": tensor("Name", "BYTES", [missing]),
        }
    assert probability(infer(end, required(**more))) == predicted(end)
    assert predicted(end) != predicted(end, Age=3.0)


def test_nan_is_a_missing_number_in_the_binary_form(end: Endpoint) -> None:
    body, headers = infer_binary(TITANIC, [{**REQUIRED, "Age": None, "Embarked": None}])
    assert struct.pack("<d", np.nan) in body
    answer = end.call("POST", INFER, content=body, headers=headers)
    assert probability(answer) == predicted(end)


def test_texts_are_reduced_and_identifiers_skipped(end: Endpoint) -> None:
    told = infer(
        end,
        required(
            Name=tensor("Name", "BYTES", ["Rice, Master. Eugene"]),
            Ticket=tensor("Ticket", "BOOL", [True]),
            boat={**tensor("boat", "BYTES", [1, 2]), "shape": [9, 9]},
        ),
    )
    assert probability(told) == predicted(end, Title="Master")
    assert predicted(end, Title="Master") != predicted(end)


@pytest.mark.parametrize("datatype", ["INT8", "UINT16", "INT32", "UINT64", "FP16", "FP32", "FP64"])
def test_any_number_is_taken_for_a_number(end: Endpoint, datatype: str) -> None:
    # The client that is generated from the published document writes every number as 2.0.
    for name, value in (("Age", 2), ("Pclass", 2), ("Pclass", 2.0)):
        assert probability(infer(end, required(**{name: tensor(name, datatype, [value])}))) == (
            predicted(end, **{name: value})
        )


def test_float32_is_the_same_number_in_both_forms(end: Endpoint) -> None:
    narrow = float(np.float32(7.3))
    assert probability(infer(end, required(Fare=tensor("Fare", "FP32", [7.3])))) == predicted(
        end, Fare=narrow
    )
    inputs = required(Fare=tensor("Fare", "FP32", []))
    del inputs[-1]["data"]
    inputs[-1] |= {"shape": [1], "parameters": {"binary_data_size": 4}}
    head = json.dumps({"inputs": inputs}).encode()
    response = end.call(
        "POST", INFER, content=head + struct.pack("<f", 7.3), headers={LENGTH: str(len(head))}
    )
    assert probability(response) == predicted(end, Fare=narrow)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (tensor("Pclass", "INT64", [9]), r"records\[0\]\.Pclass must be at most 3"),
        (tensor("Pclass", "INT64", [None]), r"records\[0\]\.Pclass must not be null"),
        (tensor("Pclass", "FP64", [1.5]), r"records\[0\]\.Pclass must be a whole number"),
        (tensor("Pclass", "INT64", [1.5]), "Pclass has data that are not INT64"),
        (tensor("Pclass", "INT64", ["1"]), "Pclass has data that are not INT64"),
        (tensor("Pclass", "INT64", [True]), "Pclass has data that are not INT64"),
        (tensor("Pclass", "UINT8", [256]), "do not fit UINT8"),
        (tensor("Pclass", "UINT8", [-1]), "do not fit UINT8"),
        (tensor("Pclass", "INT64", [10**400]), "must be at most 3|do not fit|not INT64"),
        (tensor("Pclass", "BYTES", ["1"]), "Pclass must have the datatype FP64, FP32 or INT64"),
        (tensor("Pclass", "FP8", [1]), "Pclass must have the datatype"),
        (tensor("Pclass", "INT64", [1, 2]), "Sex has 1 rows, and the first input 2"),
        (tensor("Pclass", "INT64", [[1, 2]]), "not INT64"),
        (tensor("Pclass", "INT64", [1], shape=[2]), "Pclass has 1 elements"),
        (tensor("Pclass", "INT64", [1], shape=[1, 1, 1]), "must have the shape"),
        (tensor("Pclass", "INT64", [1], shape=[]), "must have the shape"),
        (tensor("Pclass", "INT64", [1], shape=[-1]), "shape"),
        (tensor("Pclass", "INT64", [1], shape=[10**30]), "shape|out of range"),
        (tensor("Colour", "INT64", [1]), "Colour unknown input"),
        (tensor("Fare", "FP32", [1e39]), r"records\[0\]\.Fare must be finite"),
        (tensor("Sex", "FP64", [1]), "Sex must have the datatype BYTES"),
        (tensor("Sex", "BYTES", [1]), "Sex has data that are not BYTES"),
        ({"name": "Pclass", "shape": [1], "datatype": "INT64"}, "either data or binary_data_size"),
        (tensor("Pclass", "INT64", [1], parameters={"binary_data_size": 8}), "either data or"),
        (
            {
                "name": "Pclass",
                "shape": [1],
                "datatype": "INT64",
                "parameters": {"binary_data_size": 8},
            },
            "needs the header inference-header-content-length",
        ),
    ],
)
def test_a_wrong_tensor_is_named(end: Endpoint, changed: dict[str, Any], said: str) -> None:
    error = refused(infer(end, required(**{changed["name"]: changed})))
    assert re.search(said, error), error


def test_an_input_is_given_once(end: Endpoint) -> None:
    twice = [*required(), tensor("Sex", "BYTES", ["female"])]
    assert "Sex is given twice" in refused(infer(end, twice))


def test_required_inputs_are_named(end: Endpoint) -> None:
    error = refused(infer(end, [tensor("Age", "FP64", [1])]))
    for name in REQUIRED:
        assert f"records[0].{name} is required" in error
    refused(infer(end, []))
    refused(infer(end, [tensor("Ticket", "BYTES", [], shape=[2**60])]))
    empty = [{**one, "shape": [0], "data": []} for one in required()]
    assert "at least one record" in refused(infer(end, empty))
    many = [{**one, "shape": [5001], "data": one["data"] * 5001} for one in required()]
    assert "at most 5,000 fit" in refused(infer(end, many))


def test_more_offences_than_fit_are_counted(end: Endpoint) -> None:
    wrong = [
        {**one, "shape": [500], "data": [9 if one["name"] == "Pclass" else one["data"][0]] * 500}
        for one in required()
    ]
    error = refused(infer(end, wrong))
    assert "500 rules" in error
    assert error.count("must be at most 3") == 20


@pytest.mark.parametrize(
    ("cut", "header", "said"),
    [
        (0, "99999999", "must be a length within the body"),
        (0, "-1", "must be a length within the body"),
        (0, "x" * 5000, "must be a length within the body"),
        (0, "0", "no inference request"),
        (3, "", "missing"),
    ],
)
def test_binary_bodies_that_do_not_add_up(end: Endpoint, cut: int, header: str, said: str) -> None:
    body, headers = infer_binary(TITANIC, records_of(TITANIC, 5, seed=1))
    headers = headers | ({LENGTH: header} if header else {})
    sent = body[: len(body) - cut]
    assert said in refused(end.call("POST", INFER, content=sent, headers=headers))
    _, headers = infer_binary(TITANIC, records_of(TITANIC, 5, seed=1))
    response = end.call("POST", INFER, content=body + b"more", headers=headers)
    assert "4 bytes that belong to no tensor" in refused(response)


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"\1", "end within a length"),
        (struct.pack("<I", 9) + b"male", "end within a text"),
        (struct.pack("<I", 2**32 - 1), "end within a text"),
        (struct.pack("<I", 2) + b"\xff\xff", "not UTF-8"),
        (b"", "Sex has 0 elements"),
    ],
)
def test_binary_texts_that_are_none(end: Endpoint, raw: bytes, said: str) -> None:
    size = {"binary_data_size": len(raw)}
    sex = {"name": "Sex", "shape": [1], "datatype": "BYTES", "parameters": size}
    head = json.dumps({"inputs": required(Sex=sex)}).encode()
    response = end.call("POST", INFER, content=head + raw, headers={LENGTH: str(len(head))})
    assert said in refused(response)


@pytest.mark.parametrize("kind", ["FP64", "INT64"])
def test_binary_numbers_that_are_none(end: Endpoint, kind: str) -> None:
    for raw, said in ((b"1234567", "no whole number"), (struct.pack("<d", np.inf), "Age must be")):
        size = {"binary_data_size": len(raw)}
        age = {"name": "Age", "shape": [1], "datatype": kind, "parameters": size}
        head = json.dumps({"inputs": required(Age=age)}).encode()
        response = end.call("POST", INFER, content=head + raw, headers={LENGTH: str(len(head))})
        assert said in refused(response)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v2/models/nothing", 404),
        ("GET", "/v2/models/nothing/ready", 404),
        ("POST", "/v2/models/nothing/infer", 404),
        ("GET", "/v2/models/titanic/versions/6", 404),
        ("GET", "/v2/models/titanic/versions/07/ready", 404),
        ("POST", "/v2/models/titanic/versions/latest/infer", 404),
        ("GET", "/v2/models/titanic/versions", 404),
        ("GET", "/v2/models/titanic/versions/7/else", 404),
        ("GET", "/v2/models/", 404),
        ("GET", "/v2/else", 404),
        ("GET", INFER, 405),
        ("POST", "/v2/models/titanic", 405),
    ],
)
def test_addresses_that_lead_nowhere(end: Endpoint, method: str, path: str, status: int) -> None:
    body = {"json": {"inputs": required()}} if method == "POST" else {}
    refused(end.call(method, path, **body), status)


def test_bodies_of_other_kinds(end: Endpoint) -> None:
    for headers in ({"content-type": "text/csv"}, {"content-encoding": "gzip"}):
        refused(end.call("POST", INFER, content=b"{}", headers=headers), 415)
    refused(end.call("POST", INFER, content=b" " * (2**20 + 1)), 413)


def test_what_is_not_loaded_is_not_ready(tmp_path: Path) -> None:
    with endpoint(tmp_path, "titanic") as serving:
        pass
    assert serving.call("GET", "/v2/health/ready").status_code == 200
    store = ModelStore()
    empty = Endpoint(EndpointApp(store, serving.logs, open_gate()), store, serving.logs, tmp_path)
    assert "No model is configured" in refused(empty.call("GET", "/v2/health/ready"), 503)
    refused(empty.call("GET", "/v2/models/titanic/ready"), 404)


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.floats()
    | st.integers()
    | st.sampled_from(["Pclass", "Sex", "INT64", "FP32", "BYTES", ""]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["name", "shape", "datatype", "data", "parameters", "binary_data_size"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)
_TENSOR = st.fixed_dictionaries(
    {
        "name": st.sampled_from([*TITANIC.contract.names, "Name", "boat", "?"]),
        "shape": st.lists(st.integers(-1, 3), max_size=3) | _JSON,
        "datatype": st.sampled_from(["INT64", "INT8", "FP16", "FP32", "FP64", "BYTES", "BOOL", ""]),
    },
    optional={
        "data": st.lists(_JSON, max_size=4),
        "parameters": st.fixed_dictionaries(
            {}, optional={"binary_data_size": st.integers(-1, 40) | _JSON}
        ),
    },
)
_REQUESTS = st.fixed_dictionaries(
    {"inputs": st.lists(_TENSOR, max_size=4) | _JSON},
    optional={"outputs": _JSON, "id": _JSON, "parameters": _JSON},
)


@settings(max_examples=150, deadline=None)
@given(
    head=_REQUESTS.map(lambda value: json.dumps(value).encode())
    | st.binary(max_size=100)
    | st.sampled_from([b"[" * 100_000, b'{"inputs":' * 5000, b'{"inputs":[{"name":"\\ud800"}]}']),
    rest=st.binary(max_size=40),
    told=st.none() | st.integers(-2, 300) | st.just("exact"),
)
def test_malformed_bodies_are_refused_in_the_protocols_shape(
    end: Endpoint, head: bytes, rest: bytes, told: int | str | None
) -> None:
    headers: Mapping[str, str] = {}
    if told is not None:
        headers = {LENGTH: str(len(head) if told == "exact" else told)}
    refused(end.call("POST", INFER, content=head + rest, headers=headers))
