"""MLflow's scoring protocol, held against MLflow's own server and client."""

from __future__ import annotations

import io
import json
import math
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import mlflow
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mlflow.deployments import PredictionsResponse
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import ErrorCode

from core.problems.contract import FieldType
from serve.asgi import EndpointApp
from serve.gate import Gate
from serve.store import ModelStore
from tests.serving_support import OWN_TOKEN, RECORD, admission, open_gate
from tests.unit.protocols import (
    PROBLEMS,
    VERSION,
    Endpoint,
    Record,
    columns_of,
    csv_of,
    endpoint,
    records_of,
)

with warnings.catch_warnings():
    # MLflow looks at type hints of its own while it is imported.
    warnings.simplefilter("ignore")
    from mlflow.pyfunc.scoring_server import infer_and_parse_data, parse_csv_input

TITANIC = PROBLEMS["titanic"]
HERE = "/invocations/titanic"
FORMS = ("dataframe_split", "dataframe_records", "instances", "inputs")


@pytest.fixture(scope="module")
def end(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    with endpoint(tmp_path_factory.mktemp("mlflow"), "titanic") as serving:
        yield serving


def invoke(end: Endpoint, body: object, path: str = HERE) -> httpx.Response:
    return end.call("POST", path, json=body)


def send_csv(end: Endpoint, body: bytes) -> httpx.Response:
    return end.call("POST", HERE, content=body, headers={"content-type": "text/csv"})


def numbers(response: httpx.Response) -> list[float]:
    assert response.status_code == 200, response.text
    return [one["probability"] for one in response.json()["predictions"]]


def predicted(end: Endpoint, *records: Record) -> list[float]:
    return numbers(end.call("POST", "/predict/titanic", json={"records": records}))


def refused(response: httpx.Response, status: int = 400, code: str = "BAD_REQUEST") -> str:
    """What the error says, once its shape has been checked."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    # The keys and the codes are MLflow's, of which those two are in every release.
    assert list(response.json()) == ["error_code", "message"]
    assert response.json().keys() <= json.loads(MlflowException("").serialize_as_json()).keys()
    assert response.json()["error_code"] == code
    assert ErrorCode.Value(code) is not None
    return str(response.json()["message"])


def bodies(records: list[Record]) -> dict[str, Any]:
    """Records in every form, as pandas and MLflow's clients write them: with NaN for no number.

    A text that is missing is ``null``: NaN among texts is ``"nan"`` to MLflow.
    """
    numeric = {f.name for f in TITANIC.contract.fields if f.type.is_numeric}
    frame = pd.DataFrame(records, dtype=object)
    for name in numeric:
        frame[name] = [math.nan if value is None else value for value in frame[name]]
    return {
        "dataframe_split": frame.to_dict(orient="split"),
        "dataframe_records": frame.to_dict(orient="records"),
        "instances": frame.to_dict(orient="records"),
        "inputs": frame.to_dict(orient="list"),
    }


def from_mlflow(parsed: Any) -> list[Record]:
    """What MLflow's server makes of a request, as records of ours."""
    frame = pd.DataFrame(parsed)
    whole = {f.name for f in TITANIC.contract.fields if f.type is FieldType.INTEGER}

    def plain(name: str, value: Any) -> Any:
        # In rows MLflow makes an array without dimensions of each value.
        value = value.item() if isinstance(value, np.ndarray) else value
        if value is None or (isinstance(value, float) and math.isnan(value)):
            return None
        return int(value) if name in whole else value

    return [
        {name: plain(name, value) for name, value in row.items()}
        for row in frame.to_dict(orient="records")
    ]


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=15, deadline=None)
@given(rows=st.integers(1, 30), seed=st.integers(0, 2**32 - 1))
def test_a_form_is_read_as_mlflow_reads_it(end: Endpoint, form: str, rows: int, seed: int) -> None:
    text = json.dumps({form: bodies(records_of(TITANIC, rows, seed))[form]})
    told = end.call("POST", HERE, content=text.encode())
    assert numbers(told) == predicted(end, *from_mlflow(infer_and_parse_data(json.loads(text))))


def test_csv_is_read_as_mlflow_reads_it(end: Endpoint) -> None:
    # Words for nothing are texts to us and nothing to pandas, so the known values only.
    known = {f.name: f.categories for f in TITANIC.contract.fields if f.categories}
    records = [
        record
        for record in records_of(TITANIC, 300, seed=2)
        if all(record[name] is None or record[name] in known[name] for name in known)
    ]
    assert len(records) > 100
    frame = pd.DataFrame(records)
    for text in (frame.to_csv(index=False), frame.to_csv(index=False, lineterminator="\r\n")):
        expected = predicted(end, *from_mlflow(parse_csv_input(io.StringIO(text))))
        assert numbers(send_csv(end, text.encode())) == expected
        assert numbers(send_csv(end, b"\xef\xbb\xbf" + text.encode())) == expected
    assert numbers(send_csv(end, frame.to_csv().encode())) == expected


def test_mlflows_client_reads_the_answer(end: Endpoint) -> None:
    response = invoke(end, {"dataframe_records": [RECORD, {**RECORD, "Sex": "female"}]})
    told = PredictionsResponse.from_json(response.text).get_predictions()
    assert list(told.columns) == ["label", "probability"]
    assert told["probability"].tolist() == numbers(response)
    body = response.json()
    assert list(body) == ["predictions", "request_id", "model_version"]
    assert (body["model_version"], len(body["request_id"])) == (VERSION, 32)


def test_what_mlflows_clients_ask_first(end: Endpoint) -> None:
    for path in ("/ping", "/health"):
        response = end.call("GET", path)
        assert (response.status_code, response.text) == (200, "\n")
    assert end.call("GET", "/version").text == mlflow.__version__
    store = ModelStore()
    empty = Endpoint(EndpointApp(store, end.logs, open_gate()), store, end.logs, end.home)
    refused(empty.call("GET", "/ping"), 503, "TEMPORARILY_UNAVAILABLE")
    refused(invoke(empty, {}), 404, "RESOURCE_DOES_NOT_EXIST")
    refused(invoke(empty, {}, "/invocations"), 404, "RESOURCE_DOES_NOT_EXIST")


def test_the_address_without_a_problem_is_for_one_model(end: Endpoint, tmp_path: Path) -> None:
    body = {"dataframe_records": [RECORD]}
    assert numbers(invoke(end, body, "/invocations")) == predicted(end, RECORD)
    with endpoint(tmp_path) as several:
        said = refused(invoke(several, body, "/invocations"), 404, "RESOURCE_DOES_NOT_EXIST")
        assert "/invocations/{problem}" in said
        assert numbers(invoke(several, body)) == predicted(end, RECORD)
        assert "/invocations" not in several.call("GET", "/openapi.json").json()["paths"]


def test_errors_of_keys_have_mlflows_shape(end: Endpoint, tmp_path: Path) -> None:
    gate = Gate()
    gate.apply({"access": admission(tmp_path, required=True).model_dump(mode="json")})
    with endpoint(tmp_path, "titanic", gate=gate) as closed:
        for path in (HERE, "/invocations"):
            response = invoke(closed, {}, path)
            refused(response, 401, "UNAUTHENTICATED")
            assert "www-authenticate" in response.headers
        bearer = {"authorization": f"Bearer {OWN_TOKEN}"}
        body = {"dataframe_records": [RECORD]}
        assert numbers(closed.call("POST", HERE, json=body, headers=bearer)) == (
            predicted(end, RECORD)
        )


def test_a_value_may_be_left_out(end: Endpoint) -> None:
    short = {name: RECORD[name] for name in ("Pclass", "Sex", "SibSp", "Parch")}
    expected = predicted(end, short)
    assert expected != predicted(end, RECORD)
    for age in ({}, {"Age": None}, {"Age": math.nan}):
        for form in ("dataframe_records", "instances", "inputs"):
            text = json.dumps({form: [{**short, **age}]}).encode()
            assert numbers(end.call("POST", HERE, content=text)) == expected
    assert numbers(invoke(end, {"inputs": short})) == expected
    for word in ("", "NaN", "NA", "null", " "):
        line = ",".join(str(value) for value in short.values())
        body = f"{','.join(short)},Age,Embarked\n\n{line},{word},\n".encode()
        assert numbers(send_csv(end, body)) == expected


def test_identifiers_texts_and_params_are_taken(end: Endpoint) -> None:
    record = {**RECORD, "PassengerId": {"a": 1}, "boat": "x", "Name": "Rice, Master. Eugene"}
    expected = predicted(end, {**RECORD, "Title": "Master"})
    body = {"dataframe_records": [record], "params": {"temperature": 2}}
    assert numbers(invoke(end, body)) == expected
    plain = {**record, "PassengerId": 5, "Name": 'Rice, Master. "Bob" Eugene'}
    assert numbers(send_csv(end, csv_of([plain], with_index=True))) == expected


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "exactly one of dataframe_split, dataframe_records, instances, inputs"),
        ({"instances": [RECORD], "inputs": [RECORD]}, "exactly one of"),
        ([RECORD], "Expected `object`"),
        ({"records": [RECORD]}, "unknown field `records`"),
        ({"dataframe_records": {}}, "Expected `array`"),
        ({"dataframe_records": []}, "at least one record"),
        ({"dataframe_records": [[3, "male"]]}, "Expected `object`"),
        ({"instances": [[3, "male"]]}, "Expected `object`"),
        ({"instances": [3]}, "Expected `object`"),
        ({"inputs": {}}, r"records\[0\]\.Pclass is required"),
        ({"inputs": {"Pclass": [3, 2], "Sex": ["male"]}}, "lists of the same length"),
        ({"inputs": {"Pclass": [3], "Sex": "male"}}, "lists of the same length"),
        ({"dataframe_split": {"data": [[3]]}}, "missing required field `columns`"),
        ({"dataframe_split": {"columns": ["Age"], "data": [[3, 4]]}}, "the first is row 0"),
        ({"dataframe_split": {"columns": ["Age", "Age"], "data": [[3, 4]]}}, "more than once: Age"),
        ({"dataframe_split": {"columns": ["Age"], "data": [[3]], "x": 1}}, "unknown field `x`"),
        ({"dataframe_records": [{**RECORD, "Pclass": 9}]}, r"records\[0\]\.Pclass must be at most"),
        ({"dataframe_records": [{**RECORD, "Colour": 1}]}, r"records\[0\]\.Colour unknown field"),
        ({"dataframe_records": [{**RECORD, "Age": "22"}]}, "Age must be a number, not text"),
        ({"dataframe_records": [{**RECORD, "Pclass": True}]}, "Pclass must be a number"),
        ({"dataframe_records": [{**RECORD, "Pclass": math.nan}]}, "Pclass must not be null"),
        ({"dataframe_records": [{**RECORD, "Age": math.inf}]}, "Infinity is no number"),
        ({"dataframe_records": [{**RECORD, "Age": 10**400}]}, "Age must be finite"),
        ({"dataframe_records": [{**RECORD, "Sex": "\ud800"}]}, "not valid JSON"),
    ],
)
def test_what_is_wrong_is_said(end: Endpoint, body: object, said: str) -> None:
    message = refused(end.call("POST", HERE, content=json.dumps(body).encode()))
    assert re.search(said, message), message


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "line of column names"),
        (b"Pclass,Sex\n", "at least one record"),
        (b"Pclass,Pclass\n1,2\n", "more than once: Pclass"),
        (b"Pclass,Sex\n3,male,1\n", "without 2 cells; record 0"),
        (b'Pclass,Sex\n3,"male\n', "not valid CSV"),
        (b"Pclass\n\xff\n", "UTF-8"),
        (b"Pclass,Sex,SibSp,Parch\n3,male,0,1_0\n", "Parch must be a number, not text"),
        (b"Pclass,Sex,SibSp,Parch\n3,male,0,inf\n", "Parch must be a number, not text"),
        (b"Pclass,Sex,SibSp,Parch,Age\n3,male,0,0,1e999\n", "Age must be finite"),
        (b"Pclass,Sex,SibSp,Parch\n3.5,male,0,0\n", "Pclass must be a whole number"),
        (b"Pclass,Sex,SibSp,Parch\n3,,0,0\n", "Sex must not be null"),
        (b"Pclass,Sex,SibSp,Parch,\n3,male,0,0,1\n", "unknown field"),
        (b"a\n" + b"9" * 200_000 + b"\n", "not valid CSV"),
    ],
)
def test_what_is_wrong_with_csv_is_said(end: Endpoint, body: bytes, said: str) -> None:
    message = refused(send_csv(end, body))
    assert said in message, message


def test_addresses_and_bodies_of_other_kinds(end: Endpoint) -> None:
    refused(invoke(end, {}, "/invocations/nothing"), 404, "RESOURCE_DOES_NOT_EXIST")
    refused(invoke(end, {}, "/invocations/titanic/x"), 404, "RESOURCE_DOES_NOT_EXIST")
    refused(invoke(end, {}, "/invocations/"), 404, "RESOURCE_DOES_NOT_EXIST")
    response = end.call("GET", HERE)
    refused(response, 405)
    assert response.headers["allow"] == "POST"
    for headers in (
        {"content-type": "application/vnd.apache.parquet"},
        {"content-type": "text/csv; charset=latin-1"},
        {"content-encoding": "gzip"},
    ):
        refused(end.call("POST", HERE, content=b"{}", headers=headers), 415)
    refused(end.call("POST", HERE, content=b" " * (2**20 + 1)), 413)


def test_a_large_batch_is_answered_too(end: Endpoint) -> None:
    records = records_of(TITANIC, 3000, seed=4)
    expected = predicted(end, *records)
    assert numbers(invoke(end, {"inputs": columns_of(records)})) == expected
    assert numbers(send_csv(end, csv_of(records))) == expected


_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["columns", "data", "index", "Pclass", "Sex", "Age", ""]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(
    body=st.dictionaries(st.sampled_from([*FORMS, "params", "x"]), _JSON, max_size=3).map(
        lambda value: json.dumps(value).encode()
    )
    | st.binary(max_size=200)
    | st.sampled_from([b"[" * 100_000, b'{"inputs":' * 5000, b'{"inputs":[NaN' + b",1" * 9])
    | st.lists(st.sampled_from(["Pclass", "Sex", ",", "\n", '"', "\0", "3", "é"]), max_size=30).map(
        lambda parts: "".join(parts).encode()
    ),
    csv=st.booleans(),
)
def test_malformed_bodies_are_refused_in_mlflows_shape(
    end: Endpoint, body: bytes, csv: bool
) -> None:
    refused(send_csv(end, body) if csv else end.call("POST", HERE, content=body))
