"""Pieces of an OpenAPI document."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

_SAID = {
    400: "The body breaks rules; every offending field is named",
    401: "No key, or one that is not taken",
    403: "The key is for something else",
    404: "No model is served for this problem, or not in this version",
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


def json_body(schema: Schema, example: object) -> Schema:
    """The body of a request."""
    content = {"application/json": {"schema": schema, "example": example}}
    return {"required": True, "content": content}
