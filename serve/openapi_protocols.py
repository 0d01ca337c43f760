"""The routes of other protocols in the OpenAPI document."""

from __future__ import annotations

from typing import Any

from core.problems.contract import Contract, Problem
from serve.open_inference import LABEL, PROBABILITY
from serve.openapi_parts import (
    Schema,
    caller_key,
    json_body,
    object_of,
    operation,
    reference,
    refusals,
    response,
)
from serve.predictor import example_record
from serve.tensors import BYTES, NUMBERS, datatype_of

_OF_MODEL = (404, 503)
_OF_SCORING = (400, 404, 408, 413, 415, 503)
_TENSOR, _OUTPUT = "OpenInference.Tensor", "OpenInference.Output"
_OIP_ERROR, _MLFLOW_ERROR = "OpenInference.Error", "Mlflow.Error"
_TEXT: Schema = {"type": "string"}
_LENGTH = {"type": "integer", "minimum": 0}


def protocol_schemas() -> Schema:
    """Schemas that no problem has of its own."""
    output: Schema = {
        "type": "object",
        "properties": {
            "name": {"enum": [LABEL, PROBABILITY]},
            "parameters": {"type": "object", "description": "binary_data"},
        },
        "required": ["name"],
    }
    return {
        _TENSOR: _tensor({"name": {"enum": [LABEL, PROBABILITY]}, "datatype": _TEXT}),
        _OUTPUT: output,
        _OIP_ERROR: object_of({"error": _TEXT}),
        _MLFLOW_ERROR: object_of({"error_code": _TEXT, "message": _TEXT}),
    }


def tensor_schema(contract: Contract) -> Schema:
    """An input of one problem's model."""
    numeric = {field.name for field in contract.fields if field.type.is_numeric}
    texts = {field.name for field in contract.fields} - numeric
    texts |= {source.name for source in contract.reduced}
    kinds = [
        (sorted(numeric), {"enum": sorted(NUMBERS)}),
        (sorted(texts), {"const": BYTES}),
        (list(contract.ignored), _TEXT),
    ]
    return {
        "oneOf": [
            _tensor({"name": {"enum": names}, "datatype": datatype})
            for names, datatype in kinds
            if names
        ]
    }


def _tensor(of: Schema) -> Schema:
    """A column of a request or an answer."""
    shape = {
        "type": "array",
        "prefixItems": [_LENGTH, {"const": 1}],
        "minItems": 1,
        "maxItems": 2,
        "description": "[rows] or [rows, 1]",
    }
    data = {"type": "array", "items": {}, "description": "Not where the data are binary"}
    parameters = {"type": "object", "description": "binary_data_size"}
    return {
        "type": "object",
        "properties": {**of, "shape": shape, "data": data, "parameters": parameters},
        "required": ["name", "shape", "datatype"],
    }


def server_paths() -> Schema:
    """Paths that are for no problem and ask for no key."""
    ping = _plain("MLflow: a model is loaded for every problem")
    ping["get"]["responses"] |= refusals(reference(_MLFLOW_ERROR), 503)
    return {
        "/v2": _operation("get", "Open Inference Protocol: the server", {"type": "object"}),
        "/v2/health/live": _operation("get", "The process is alive", {"type": "object"}),
        "/v2/health/ready": _operation(
            "get", "A model is loaded for every problem", {"type": "object"}, _OIP_ERROR, 503
        ),
        "/ping": ping,
        "/health": ping,
        "/version": _plain("MLflow's version"),
    }


def _plain(summary: str) -> Schema:
    """A path whose answer is no JSON."""
    return operation("get", summary, {"200": response(summary, _TEXT, "text/plain")})


def problem_paths(problem: Problem) -> Schema:
    """Paths of one problem."""
    paths: Schema = {}
    for versioned in (False, True):
        path = f"/v2/models/{problem.name}" + "/versions/{version}" * versioned
        given = {"parameters": [_version()]} if versioned else {}
        # A version that is named leaves nothing to choose.
        asked = given or {"parameters": [caller_key()]}
        title, anything = problem.title, {"type": "object"}
        told = f"{title}: inputs and outputs of the model"
        paths[path] = _operation("get", told, anything, _OIP_ERROR, *_OF_MODEL, **given)
        told = f"{title}: the model is ready"
        paths[f"{path}/ready"] = _operation("get", told, anything, _OIP_ERROR, *_OF_MODEL, **given)
        paths[f"{path}/infer"] = _operation(
            "post",
            f"{title}: infer, by the Open Inference Protocol",
            _infer_answer(),
            _OIP_ERROR,
            *_OF_SCORING,
            requestBody=json_body(_infer_request(problem.name), infer_example(problem.contract)),
            **asked,
        )
    paths[f"/invocations/{problem.name}"] = _invocations(problem)
    return paths


def single_problem_path(problem: Problem) -> Schema:
    """The path of a problem that is the only one."""
    return {"/invocations": _invocations(problem)}


def infer_example(contract: Contract) -> Schema:
    """A request of one record."""
    record = example_record(contract)
    inputs = [
        {
            "name": field.name,
            "shape": [1],
            "datatype": datatype_of(field),
            "data": [record[field.name]],
        }
        for field in contract.fields
    ]
    return {"inputs": inputs}


def _invocations(problem: Problem) -> Schema:
    record = reference(f"{problem.name}.Record")
    records = {"type": "array", "minItems": 1, "items": record}
    columns = {"type": "object", "description": "A list for each column"}
    rows = {"type": "array", "items": {"type": "array"}}
    split = object_of({"columns": {"type": "array", "items": _TEXT}, "data": rows})
    split["properties"] |= {"index": {"type": ["array", "null"]}}
    forms: Schema = {
        "dataframe_split": split,
        "dataframe_records": records,
        "instances": {"anyOf": [records, columns]},
        "inputs": {"anyOf": [records, columns, record]},
    }
    unread = {"type": ["object", "null"], "description": "Not read"}
    request: Schema = {
        "type": "object",
        "description": "Exactly one of the four forms",
        "properties": {**forms, "params": unread},
        "oneOf": [{"required": [form]} for form in forms],
        "additionalProperties": False,
    }
    answer = object_of(
        {
            "predictions": {"type": "array", "items": reference(f"{problem.name}.Prediction")},
            "request_id": _TEXT,
            "model_version": {"type": "integer"},
        }
    )
    body = json_body(request, {"dataframe_records": [example_record(problem.contract)]})
    body["content"]["text/csv"] = {"schema": _TEXT}
    summary = f"{problem.title}: predict, by MLflow's protocol"
    given = {"parameters": [caller_key()], "requestBody": body}
    return _operation("post", summary, answer, _MLFLOW_ERROR, *_OF_SCORING, **given)


def _infer_request(problem: str) -> Schema:
    return {
        "type": "object",
        "properties": {
            "id": _TEXT,
            "parameters": {"type": "object", "description": "binary_data_output"},
            "inputs": {"type": "array", "minItems": 1, "items": reference(f"{problem}.Tensor")},
            "outputs": {"type": "array", "items": reference(_OUTPUT)},
        },
        "required": ["inputs"],
    }


def _infer_answer() -> Schema:
    return object_of(
        {
            "model_name": _TEXT,
            "model_version": _TEXT,
            "id": {**_TEXT, "description": "As in the request, otherwise the request_id"},
            "parameters": {"type": "object", "description": "request_id, for late labels"},
            "outputs": {"type": "array", "items": reference(_TENSOR)},
        }
    )


def _version() -> Schema:
    return {"name": "version", "in": "path", "required": True, "schema": _TEXT}


def _operation(
    method: str, summary: str, answer: Schema, error: str = "", *errors: int, **more: Any
) -> Schema:
    responses = {"200": response(summary, answer), **refusals(reference(error), *errors)}
    return operation(method, summary, responses, **more)
