"""The OpenAPI 3.1 document, built from the contracts of the served problems."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from core.problems.contract import Contract, Field, FieldType, Problem, ReducedInput
from serve.labels import REQUEST_ID
from serve.predictor import example_record
from serve.schemas import integer_bounds

Schema = dict[str, Any]

_PROBABILITY: Schema = {"type": "number", "minimum": 0, "maximum": 1}
#: Either will do.
_SCHEMES: Schema = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "A key: ph_…"},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "A key: ph_…"},
}


def build_openapi(problems: Sequence[Problem], *, keys_required: bool) -> Schema:
    """Returns the document; each problem has paths and schemas of its own."""
    paths: Schema = {
        "/healthz": _get("The process is alive", {"type": "object"}),
        "/readyz": _get("A model is loaded for every problem", {"type": "object"}, 503),
        "/openapi.json": _get("This document", {"type": "object"}),
        "/docs": {
            "get": {
                "summary": "This document as a page",
                "responses": {"200": _response("The page", {"type": "string"}, "text/html")},
            }
        },
    }
    schemas: Schema = {"Error": _error_schema()}
    for problem in problems:
        name = problem.name
        schemas[f"{name}.Record"] = _record_schema(problem.contract)
        schemas[f"{name}.Prediction"] = _prediction_schema(problem.contract)
        paths[f"/problems/{name}"] = _get(
            f"{problem.title}: the served version", {"type": "object"}, 404, 503
        )
        schemas[f"{name}.Label"] = _late_label_schema(problem.contract)
        paths[f"/predict/{name}"] = _predict(problem)
        paths[f"/labels/{name}"] = _labels(problem)
        if keys_required:
            for route in ("problems", "predict", "labels"):
                _lock(paths[f"/{route}/{name}"])
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
    for operation in path.values():
        operation["security"] = [{name: []} for name in _SCHEMES]
        operation["responses"] |= _refusals(401, 403, 429)


def _get(summary: str, schema: Schema, *errors: int) -> Schema:
    return {"get": {"summary": summary, "responses": _responses(summary, schema, *errors)}}


def _predict(problem: Problem) -> Schema:
    record, prediction = f"{problem.name}.Record", f"{problem.name}.Prediction"
    request = _object({"records": {"type": "array", "minItems": 1, "items": _reference(record)}})
    answer = _object(
        {
            "request_id": {"type": "string"},
            "model_version": {"type": "integer"},
            "predictions": {"type": "array", "items": _reference(prediction)},
        }
    )
    example = {"records": [example_record(problem.contract)]}
    return {
        "post": {
            "summary": f"{problem.title}: predict",
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": request, "example": example}},
            },
            "responses": _responses("One prediction a record", answer, 404, 413, 415, 422, 503),
        }
    }


def _labels(problem: Problem) -> Schema:
    entry = f"{problem.name}.Label"
    request = _object({"labels": {"type": "array", "minItems": 1, "items": _reference(entry)}})
    positive = problem.contract.label.positive
    example = {"labels": [{"request_id": "0" * 32, "index": 0, "label": positive}]}
    taken = {
        "type": "integer",
        "description": "Labels that are now on disk. Whether a label belongs to an answered "
        "prediction, repeats another or contradicts it shows when labels are joined",
    }
    return {
        "post": {
            "summary": f"{problem.title}: give late labels",
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": request, "example": example}},
            },
            "responses": _responses(
                "The labels are on disk", _object({"taken": taken}), 404, 413, 415, 422, 503
            ),
        }
    }


def _responses(description: str, schema: Schema, *errors: int) -> Schema:
    return {"200": _response(description, schema), **_refusals(*errors)}


def _refusals(*errors: int) -> Schema:
    said = {
        401: "No key, or one that is not taken",
        403: "The key is for something else",
        404: "No model is served for this problem",
        413: "The body is too large",
        415: "The body is not JSON",
        422: "The body breaks rules; every offending field is named",
        429: "The key asks too often; Retry-After says when to ask again",
        503: "A model is not loaded, or the disk takes nothing",
    }
    return {str(code): _response(said[code], _reference("Error")) for code in errors}


def _response(description: str, schema: Schema, kind: str = "application/json") -> Schema:
    return {"description": description, "content": {kind: {"schema": schema}}}


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
    bounds = {"minimum": low, "maximum": high}
    schema |= {name: bound for name, bound in bounds.items() if bound is not None}
    return {**schema, "description": description, "examples": [field.example]}


def _prediction_schema(contract: Contract) -> Schema:
    label = contract.label
    meaning = (
        f"{label.positive} = {label.positive_meaning}, {label.negative} = {label.negative_meaning}"
    )
    probability = {**_PROBABILITY, "description": f"Probability of {label.positive_meaning}"}
    values = {"enum": [label.positive, label.negative], "description": meaning}
    return _object({"label": values, "probability": probability})


def _late_label_schema(contract: Contract) -> Schema:
    request_id = {"type": "string", "pattern": REQUEST_ID, "description": "Id of the answer"}
    index = {"type": "integer", "minimum": 0, "description": "Index of the record in the request"}
    label = _prediction_schema(contract)["properties"]["label"]
    return _object({"request_id": request_id, "index": index, "label": label})


def _error_schema() -> Schema:
    detail = _object({"field": {"type": "string"}, "problem": {"type": "string"}})
    error = {
        "code": {"type": "string"},
        "message": {"type": "string"},
        "details": {"type": "array", "items": detail},
    }
    return _object({"error": _object(error)})


def _object(properties: Schema) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _reference(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}
