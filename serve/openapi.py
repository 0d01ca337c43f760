"""The OpenAPI 3.1 document, built from the contracts of the served problems."""

from __future__ import annotations

from collections.abc import Sequence

from core.problems.contract import MAX_TEXT, Contract, Field, FieldType, Problem, ReducedInput
from serve.labels import REQUEST_ID
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
from serve.openapi_protocols import (
    problem_paths,
    protocol_schemas,
    server_paths,
    single_problem_path,
    tensor_schema,
)
from serve.predictor import example_record
from serve.schemas import integer_bounds

_OF_BODIES = (404, 408, 413, 415, 422, 503)
_PROBABILITY: Schema = {"type": "number", "minimum": 0, "maximum": 1}
#: Either will do.
_SCHEMES: Schema = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "A key: ph_…"},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "A key: ph_…"},
}


def build_openapi(problems: Sequence[Problem], *, max_records: int, keys_required: bool) -> Schema:
    """Returns the document; each problem has paths and schemas of its own."""
    paths: Schema = {
        "/healthz": _get("The process is alive", {"type": "object"}),
        "/readyz": _get("A model is loaded for every problem", _ready_schema(), 503),
        "/openapi.json": _get("This document", {"type": "object"}),
        "/docs": operation(
            "get",
            "This document as a page",
            {"200": response("The page", {"type": "string"}, "text/html")},
        ),
        **server_paths(),
    }
    metrics = {"200": response("Metrics of all replicas", {"type": "string"}, "text/plain")}
    schemas: Schema = {"Error": _error_schema(), **protocol_schemas()}
    open_paths = set(paths)
    paths["/metrics"] = operation("get", "Prometheus' text format", metrics)
    for problem in problems:
        name = problem.name
        schemas[f"{name}.Record"] = _record_schema(problem.contract)
        schemas[f"{name}.Prediction"] = _prediction_schema(problem.contract)
        paths[f"/problems/{name}"] = _get(
            f"{problem.title}: the served version", {"type": "object"}, 404, 503
        )
        schemas[f"{name}.Label"] = _late_label_schema(problem.contract, max_records)
        schemas[f"{name}.Tensor"] = tensor_schema(problem.contract)
        paths[f"/predict/{name}"] = _predict(problem, max_records)
        paths[f"/labels/{name}"] = _labels(problem, max_records)
        paths |= problem_paths(problem)
    if len(problems) == 1:
        paths |= single_problem_path(problems[0])
    if keys_required:
        for path in paths.keys() - open_paths:
            _lock(paths[path])
    schemes = {"securitySchemes": _SCHEMES} if keys_required else {}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Pilothouse serving",
            "version": "1",
            "description": "Predictions of the models in production.",
        },
        "paths": paths,
        "components": {"schemas": schemas, **schemes},
    }


def _lock(path: Schema) -> None:
    """Adds to the operations of a path what a key has to do with them."""
    for locked in path.values():
        locked["security"] = [{name: []} for name in _SCHEMES]
        # In the shape of its other errors.
        unknown = locked["responses"].get("404")
        error = unknown["content"]["application/json"]["schema"] if unknown else reference("Error")
        locked["responses"] |= refusals(error, 401, 403, 429)


def _get(summary: str, schema: Schema, *errors: int) -> Schema:
    return operation("get", summary, _responses(summary, schema, *errors))


def _predict(problem: Problem, max_records: int) -> Schema:
    record, prediction = f"{problem.name}.Record", f"{problem.name}.Prediction"
    request = object_of({"records": _list_of(record, max_records)})
    answer = object_of(
        {
            "request_id": {"type": "string"},
            "model_version": {"type": "integer"},
            "predictions": {"type": "array", "items": reference(prediction)},
        }
    )
    example = {"records": [example_record(problem.contract)]}
    responses = _responses("One prediction a record", answer, *_OF_BODIES)
    body = json_body(request, example)
    summary, parameters = f"{problem.title}: predict", [caller_key()]
    return operation("post", summary, responses, parameters=parameters, requestBody=body)


def _labels(problem: Problem, max_records: int) -> Schema:
    request = object_of({"labels": _list_of(f"{problem.name}.Label", max_records)})
    positive = problem.contract.label.positive
    example = {"labels": [{"request_id": "0" * 32, "index": 0, "label": positive}]}
    taken = {
        "type": "integer",
        "description": "Labels that are now on disk. Whether a label belongs to an answered "
        "prediction, repeats another or contradicts it shows when labels are joined",
    }
    answer = object_of({"taken": taken})
    responses = _responses("The labels are on disk", answer, *_OF_BODIES)
    body = json_body(request, example)
    return operation("post", f"{problem.title}: give late labels", responses, requestBody=body)


def _ready_schema() -> Schema:
    text, whole = {"type": "string"}, {"type": "integer"}
    beside = object_of(
        {
            "rollout": text,
            "step": whole,
            "version": whole,
            "loaded": {"type": "boolean"},
            "failure": {**text, "description": "Why it cannot be loaded; empty otherwise"},
        }
    )
    beside["description"] = "The second version, where a rollout is on"
    problem: Schema = {
        "type": "object",
        "properties": {"version": whole, "failure": text, "beside": beside},
        "required": ["version", "failure"],
        "additionalProperties": False,
    }
    return {
        "type": "object",
        "properties": {
            "status": {"const": "ready"},
            "problems": {"type": "object", "additionalProperties": problem},
            "failure": {**text, "description": "Of the configuration"},
            "inference_log": {"type": "object"},
        },
        "required": ["status", "problems", "failure", "inference_log"],
    }


def _list_of(name: str, most: int) -> Schema:
    return {"type": "array", "minItems": 1, "maxItems": most, "items": reference(name)}


def _responses(description: str, schema: Schema, *errors: int) -> Schema:
    return {"200": response(description, schema), **refusals(reference("Error"), *errors)}


def _record_schema(contract: Contract) -> Schema:
    ignored: Schema = {name: {"description": "Accepted and ignored"} for name in contract.ignored}
    fields = {f.name: _field_schema(f) for f in contract.fields}
    texts = {source.name: _text_schema(source) for source in contract.reduced}
    return {
        "type": "object",
        "properties": {**fields, **texts, **ignored},
        "required": [f.name for f in contract.fields if not f.nullable],
        "additionalProperties": False,
    }


def _text_schema(source: ReducedInput) -> Schema:
    description = f"{source.description}. Only {source.into} is kept; not read where that is given"
    return {
        "type": ["string", "null"],
        "maxLength": MAX_TEXT,
        "description": description,
        "examples": [source.example],
    }


def _field_schema(field: Field) -> Schema:
    kind = {
        FieldType.INTEGER: "integer",
        FieldType.NUMBER: "number",
        FieldType.CATEGORY: "string",
    }[field.type]
    schema: Schema = {"type": [kind, "null"] if field.nullable else kind}
    description = field.description + (f" ({field.unit})" if field.unit else "")
    if field.categories:
        # Not an enum: the model scores a value that it has not seen.
        description += f". Known values: {', '.join(field.categories)}"
    low, high = field.minimum, field.maximum
    if field.type is FieldType.INTEGER:
        low, high = integer_bounds(field)
    longest = MAX_TEXT if field.type is FieldType.CATEGORY else None
    bounds = {"minimum": low, "maximum": high, "maxLength": longest}
    schema |= {name: bound for name, bound in bounds.items() if bound is not None}
    return {**schema, "description": description, "examples": [field.example]}


def _prediction_schema(contract: Contract) -> Schema:
    label = contract.label
    meaning = (
        f"{label.positive} = {label.positive_meaning}, {label.negative} = {label.negative_meaning}"
    )
    probability = {**_PROBABILITY, "description": f"Probability of {label.positive_meaning}"}
    values = {"enum": [label.positive, label.negative], "description": meaning}
    return object_of({"label": values, "probability": probability})


def _late_label_schema(contract: Contract, max_records: int) -> Schema:
    request_id = {"type": "string", "pattern": REQUEST_ID, "description": "Id of the answer"}
    told = "Index of the record in the request"
    index = {"type": "integer", "minimum": 0, "maximum": max_records - 1, "description": told}
    label = _prediction_schema(contract)["properties"]["label"]
    return object_of({"request_id": request_id, "index": index, "label": label})


def _error_schema() -> Schema:
    detail = object_of({"field": {"type": "string"}, "problem": {"type": "string"}})
    error = {
        "code": {"type": "string"},
        "message": {"type": "string"},
        "details": {"type": "array", "items": detail},
    }
    return object_of({"error": object_of(error)})
