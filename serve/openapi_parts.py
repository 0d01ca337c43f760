"""Pieces of an OpenAPI document."""

from __future__ import annotations

from typing import Any

from serve.split import CALLER_KEY

Schema = dict[str, Any]

_SAID = {
    400: "The body breaks rules; every offending field is named",
    401: "No key, or one that is not taken",
    403: "The key is for something else",
    404: "No model is served for this problem, or not in this version",
    408: "The body has not arrived in time",
    413: "The body is too large",
    415: "The body is of a kind that is not taken",
    422: "The body breaks rules; every offending field is named",
    429: "The key asks too often; Retry-After says when to ask again",
    503: "A model is not loaded, or the disk takes nothing",
}


def object_of(properties: Schema) -> Schema:
    """An object that has these properties and no others."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def reference(name: str) -> Schema:
    """A schema of the document by its name."""
    return {"$ref": f"#/components/schemas/{name}"}


def response(description: str, schema: Schema, kind: str = "application/json") -> Schema:
    """One answer of an operation."""
    return {"description": description, "content": {kind: {"schema": schema}}}


def refusals(error: Schema, *statuses: int) -> Schema:
    """Answers of an operation that does not succeed."""
    return {str(status): response(_SAID[status], error) for status in statuses}


def operation(method: str, summary: str, responses: Schema, **more: Any) -> Schema:
    """A path with one operation; ``more`` are parameters and the body of a request."""
    return {method: {"summary": summary, **more, "responses": responses}}


def caller_key() -> Schema:
    """The header by which a caller keeps to one version while a rollout is on."""
    return {
        "name": CALLER_KEY,
        "in": "header",
        "required": False,
        "schema": {"type": "string"},
        "description": "Whom the prediction is for, in any form. While a new version answers a "
        "share of the requests, the same key is answered by the same version. It is not kept",
    }


def json_body(schema: Schema, example: object) -> Schema:
    """The body of a request."""
    content = {"application/json": {"schema": schema, "example": example}}
    return {"required": True, "content": content}
