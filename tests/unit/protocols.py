"""Endpoints with a model of every built-in problem, and records as each protocol writes them."""

from __future__ import annotations

import asyncio
import csv
import hashlib
import io
import json
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import httpx
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from core.problems import load_problem
from core.problems.contract import FieldType, Problem
from core.scoring.bundle import BundleFacts, BundleRef, write_bundle
from core.scoring.generate import generate_records
from serve.asgi import EndpointApp
from serve.gate import Gate
from serve.logs import ReplicaLogs
from serve.store import ModelStore
from tests.serving_support import PACKAGES, artifact_server, open_gate, user_config

PROBLEMS = {name: load_problem(name, PACKAGES) for name in ("titanic", "car_loan")}
VERSION = 7
Record = dict[str, Any]


def model_of(problem: Problem) -> bytes:
    """A model that looks at every feature: a logistic function of weighted, squeezed values."""
    nodes, constants, terms, inputs = [], [_constant("typical", 0.5)], [], []
    for number, name in enumerate(problem.numeric_features):
        inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 1]))
        constants.append(_constant(f"w_{name}", 0.7 / (number + 1)))
        nodes += [
            helper.make_node("IsNaN", [name], [f"no_{name}"]),
            helper.make_node("Where", [f"no_{name}", "typical", name], [f"some_{name}"]),
            helper.make_node("Mul", [f"some_{name}", f"w_{name}"], [f"m_{name}"]),
            helper.make_node("Sin", [f"m_{name}"], [f"t_{name}"]),
        ]
        terms.append(f"t_{name}")
    for number, name in enumerate(problem.categorical_features):
        inputs.append(helper.make_tensor_value_info(name, TensorProto.STRING, [None, 1]))
        known = next((f.categories for f in problem.contract.fields if f.name == name), ("man",))
        encoder = {
            "domain": "ai.onnx.ml",
            "keys_strings": ["", *known],
            "values_floats": [0.1 * (number + place) for place in range(len(known) + 1)],
            "default_float": -0.35,
        }
        nodes.append(helper.make_node("LabelEncoder", [name], [f"t_{name}"], **encoder))
        terms.append(f"t_{name}")
    nodes += [
        helper.make_node("Sum", terms, ["margin"]),
        helper.make_node("Sigmoid", ["margin"], ["share"]),
        helper.make_node("Cast", ["share"], ["wide"], to=TensorProto.DOUBLE),
        helper.make_node("Reshape", ["wide", "flat"], ["probability"]),
    ]
    constants.append(helper.make_tensor("flat", TensorProto.INT64, [1], [-1]))
    output = helper.make_tensor_value_info("probability", TensorProto.DOUBLE, [None])
    graph = helper.make_graph(nodes, "any", inputs, [output], constants)
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def _constant(name: str, value: float) -> onnx.TensorProto:
    return numpy_helper.from_array(np.array([[value]], dtype=np.float32), name)


class Caller(Protocol):
    """Whatever answers requests: an endpoint in this process, or one behind an address."""

    def call(self, method: str, path: str, **given: Any) -> httpx.Response:
        """One request, with what httpx takes besides."""


@dataclass(frozen=True)
class Endpoint:
    """An endpoint without Ray, and where it keeps its log."""

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


def put_bundle(folder: Path, name: str, url: str) -> BundleRef:
    """Writes the model of a problem where ``url`` offers it; returns version ``VERSION``."""
    problem, model = PROBLEMS[name], model_of(PROBLEMS[name])
    facts = BundleFacts(
        problem=name,
        contract_fingerprint=problem.contract.fingerprint(),
        family="lr",
        threshold=0.5,
        run_id="run",
        data_version="data",
        git_commit="commit",
        metrics={"auc": 0.8},
        model_sha256=hashlib.sha256(model).hexdigest(),
    )
    write_bundle(folder / name, model, facts)
    return BundleRef(problem=name, version=VERSION, url=f"{url}/{name}")


@contextmanager
def endpoint(
    home: Path, *names: str, gate: Gate | None = None, keep_log: bool = False
) -> Iterator[Endpoint]:
    """Serves these problems in version ``VERSION``; all of them if none is named."""
    store, logs = ModelStore(), ReplicaLogs("r1")
    names = names or tuple(PROBLEMS)
    with artifact_server(home / "artifacts") as url:
        refs = {name: put_bundle(home / "artifacts", name, url) for name in names}
        store.apply(user_config(home / "cache", **refs))
    assert store.snapshot.config is not None
    assert not store.snapshot.failures
    if keep_log:
        logs.configure(store.snapshot.config)
    yield Endpoint(EndpointApp(store, logs, gate or open_gate()), store, logs, home)
    logs.close()


def records_of(problem: Problem, rows: int, seed: int) -> list[Record]:
    """Generated records as a caller would write them; missing values are ``None``."""
    columns = generate_records(problem, rows, seed)
    whole = {f.name for f in problem.contract.fields if f.type is FieldType.INTEGER}

    def plain(name: str, value: Any) -> Any:
        if value is None or value != value:
            return None
        return int(value) if name in whole else value

    lists = [[plain(name, value) for value in column.tolist()] for name, column in columns.items()]
    return [dict(zip(columns, row, strict=True)) for row in zip(*lists, strict=True)]


def columns_of(records: Sequence[Record]) -> dict[str, list[Any]]:
    return {name: [record[name] for record in records] for name in records[0]}


def datatypes(problem: Problem) -> dict[str, str]:
    """Datatype by field, written down apart from the server's own rule."""
    kinds = {FieldType.INTEGER: "INT64", FieldType.NUMBER: "FP64", FieldType.CATEGORY: "BYTES"}
    return {field.name: kinds[field.type] for field in problem.contract.fields}


def infer_document(problem: Problem, records: Sequence[Record], nested: bool = False) -> Record:
    """The body of infer with data in JSON."""
    rows = len(records)
    inputs = [
        {
            "name": name,
            "shape": [rows, 1] if nested else [rows],
            "datatype": datatypes(problem)[name],
            "data": [[value] for value in values] if nested else values,
        }
        for name, values in columns_of(records).items()
    ]
    return {"id": "42", "inputs": inputs}


def infer_binary(problem: Problem, records: Sequence[Record]) -> tuple[bytes, dict[str, str]]:
    """The body of infer with binary data both ways, and its headers."""
    inputs, data = [], []
    for name, values in columns_of(records).items():
        datatype = datatypes(problem)[name]
        if datatype == "BYTES":
            texts = [(value or "").encode() for value in values]
            raw = b"".join(struct.pack("<I", len(text)) + text for text in texts)
        else:
            kind = "<i8" if datatype == "INT64" else "<f8"
            raw = np.array([np.nan if v is None else v for v in values]).astype(kind).tobytes()
        data.append(raw)
        size = {"binary_data_size": len(raw)}
        shape = [len(records), 1]
        inputs.append({"name": name, "shape": shape, "datatype": datatype, "parameters": size})
    head = json.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}}).encode()
    headers = {
        "Content-Type": "application/octet-stream",
        "Inference-Header-Content-Length": str(len(head)),
    }
    return head + b"".join(data), headers


def read_infer(response: httpx.Response) -> dict[str, list[Any]]:
    """Output name -> values, of an answer in JSON or in the binary form."""
    length = response.headers.get("inference-header-content-length")
    head, rest = response.content, b""
    if length is not None:
        assert response.headers["content-type"] == "application/octet-stream"
        head, rest = head[: int(length)], head[int(length) :]
    out: dict[str, list[Any]] = {}
    for output in json.loads(head)["outputs"]:
        if "data" in output:
            out[output["name"]] = output["data"]
        else:
            size = output["parameters"]["binary_data_size"]
            kind = {"INT64": "<i8", "FP64": "<f8"}[output["datatype"]]
            out[output["name"]] = np.frombuffer(rest[:size], kind).tolist()
            rest = rest[size:]
        assert output["shape"] == [len(out[output["name"]])]
    assert rest == b""
    return out


def csv_of(records: Sequence[Record], with_index: bool = False) -> bytes:
    """As ``DataFrame.to_csv`` writes it: an empty cell is a missing value."""
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\n")
    names = list(records[0])
    writer.writerow([""] * with_index + names)
    for number, record in enumerate(records):
        cells = ["" if record[name] is None else record[name] for name in names]
        writer.writerow([number] * with_index + cells)
    return file.getvalue().encode()


Ask = Callable[[Caller, Problem, Sequence[Record]], httpx.Response]


def _post_json(path: str, body: Callable[[Problem, Sequence[Record]], Record]) -> Ask:
    def ask(end: Caller, problem: Problem, records: Sequence[Record]) -> httpx.Response:
        return end.call("POST", path.format(problem.name), json=body(problem, records))

    return ask


def _split(records: Sequence[Record]) -> Record:
    data = [list(record.values()) for record in records]
    return {"columns": list(records[0]), "index": list(range(len(data))), "data": data}


def _binary(end: Caller, problem: Problem, records: Sequence[Record]) -> httpx.Response:
    body, headers = infer_binary(problem, records)
    return end.call("POST", f"/v2/models/{problem.name}/infer", content=body, headers=headers)


def _csv(end: Caller, problem: Problem, records: Sequence[Record]) -> httpx.Response:
    body, headers = csv_of(records, with_index=True), {"Content-Type": "text/csv; charset=utf-8"}
    return end.call("POST", f"/invocations/{problem.name}", content=body, headers=headers)


#: Every way to ask for the same, by name.
WAYS: dict[str, Ask] = {
    "predict": _post_json("/predict/{}", lambda problem, records: {"records": records}),
    "infer": _post_json("/v2/models/{}/infer", infer_document),
    "infer of a version, in rows of one": _post_json(
        f"/v2/models/{{}}/versions/{VERSION}/infer",
        lambda problem, records: infer_document(problem, records, nested=True),
    ),
    "infer, binary": _binary,
    "dataframe_split": _post_json(
        "/invocations/{}", lambda problem, records: {"dataframe_split": _split(records)}
    ),
    "dataframe_records": _post_json(
        "/invocations/{}", lambda problem, records: {"dataframe_records": records}
    ),
    "instances": _post_json("/invocations/{}", lambda problem, records: {"instances": records}),
    "instances by column": _post_json(
        "/invocations/{}", lambda problem, records: {"instances": columns_of(records)}
    ),
    "inputs": _post_json(
        "/invocations/{}", lambda problem, records: {"inputs": columns_of(records)}
    ),
    "csv": _csv,
}


def answers_of(way: str, response: httpx.Response) -> list[tuple[Any, float]]:
    """(label, probability) of every record."""
    assert response.status_code == 200, response.text
    if way.startswith("infer"):
        out = read_infer(response)
        return list(zip(out["label"], out["probability"], strict=True))
    return [(p["label"], p["probability"]) for p in response.json()["predictions"]]
