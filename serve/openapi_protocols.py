"""The routes of other protocols in the OpenAPI document."""

from __future__ import annotations

from typing import Any

from core.problems.contract import Contract, Problem
from serve.open_inference import LABEL, PROBABILITY
from serve.openapi_parts import (
    Schema,
    json_body,
    object_of,
    operation,
    reference,
    refusals,
    response,
)
from serve.predictor import example_record
from serve.tensors import datatype_of

_OF_MODEL = (404, 503)
_OF_SCORING = (400, 404, 413, 415, 503)
_TENSOR, _OUTPUT = "OpenInference.Tensor", "OpenInference.Output"
_OIP_ERROR, _MLFLOW_ERROR = "OpenInference.Error", "Mlflow.Error"
_TEXT: Schema = {"type": "string"}
_LENGTH = {"type": "integer", "minimum": 0}


def protocol_schemas() -> Schema:
    """Schemas that no problem has of its own."""
    data = {"type": "array", "items": {}, "description": "Not where the data are binary"}
    tensor: Schema = {
        "type": "object",
        "properties": {
            "name": _TEXT,
            "shape": {
                "type": "array",
                "items": _LENGTH,
                "description": "[rows] or [rows, 1]",
            },
            "datatype": _TEXT,
            "data": data,
            "parameters": {"type": "object", "description": "binary_data_size"},
        },
        "required": ["name", "shape", "datatype"],
    }
    output: Schema = {
        "type": "object",
        "properties": {
            "name": {"enum": [LABEL, PROBABILITY]},
            "parameters": {"type": "object", "description": "binary_data"},
        },
        "required": ["name"],
    }
    return {
        _TENSOR: tensor,
        _OUTPUT: output,
        _OIP_ERROR: object_of({"error": _TEXT}),
        _MLFLOW_ERROR: object_of({"error_code": _TEXT, "message": _TEXT}),
    }


def server_paths() -> Schema:
    """Paths that are for no problem and ask for no key."""
    ping = _operation("get", "MLflow: a model is loaded for every problem", {}, _MLFLOW_ERROR, 503)
    return {
        "/v2": _operation("get", "Open Inference Protocol: the server", {"type": "object"}),
        "/v2/health/live": _operation("get", "The process is alive", {"type": "object"}),
        "/v2/health/ready": _operation(
            "get", "A model is loaded for every problem", {"type": "object"}, _OIP_ERROR, 503
        ),
        "/ping": ping,
        "/health": ping,
        "/version": _operation("get", "MLflow's version", {}),
    }


def problem_paths(problem: Problem) -> Schema:
    """Paths of one problem."""
    paths: Schema = {}
    for versioned in (False, True):
        path = f"/v2/models/{problem.name}" + "/versions/{version}" * versioned
        given = {"parameters": [_version()]} if versioned else {}
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
            requestBody=json_body(_infer_request(), infer_example(problem.contract)),
            **given,
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
    records = {"type": "array", "items": reference(f"{problem.name}.Record")}
    either = {**records, "type": ["array", "object"]}
    split = {"columns": {"type": "array"}, "data": {"type": "array"}, "index": {"type": "array"}}
    request: Schema = {
        "type": "object",
        "description": "Exactly one of the four forms",
        "properties": {
            "dataframe_split": {"type": "object", "properties": split},
            "dataframe_records": records,
            "instances": {**either, "description": "Records, or a list for each column"},
            "inputs": {**either, "description": "A list for each column, or records"},
            "params": {"type": ["object", "null"], "description": "Not read"},
        },
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
    return _operation("post", summary, answer, _MLFLOW_ERROR, *_OF_SCORING, requestBody=body)


def _infer_request() -> Schema:
    return {
        "type": "object",
        "properties": {
            "id": _TEXT,
            "parameters": {"type": "object", "description": "binary_data_output"},
            "inputs": {"type": "array", "minItems": 1, "items": reference(_TENSOR)},
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
