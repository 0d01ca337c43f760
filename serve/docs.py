"""The OpenAPI document as one page of HTML that needs nothing from elsewhere."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;
color:#1b1f24;background:#fff}
h2{margin-top:2.5rem;border-top:1px solid #d0d7de;padding-top:1.5rem;font-size:1.1rem}
.method{font-weight:700;color:#0b5cad}code,pre{font:14px/1.5 ui-monospace,monospace}
pre{background:#f3f5f7;padding:1rem;overflow-x:auto}
table{border-collapse:collapse;width:100%}
th,td{text-align:left;padding:.3rem .8rem .3rem 0;border-bottom:1px solid #e4e8ec;
vertical-align:top}
@media(prefers-color-scheme:dark){body{color:#e6edf3;background:#0d1117}pre{background:#161b22}
.method{color:#79b8ff}h2,th,td{border-color:#30363d}a{color:#79b8ff}}
"""
_KEYS = (
    "A request for a problem needs a key of it, as Authorization: Bearer ph_… or as "
    "X-API-Key: ph_…. Who runs this server makes keys."
)


def render_docs(document: Mapping[str, Any]) -> str:
    """Returns the page."""
    schemas = document["components"]["schemas"]
    info = document["info"]
    schemes = document["components"].get("securitySchemes")
    keys = f"<h2>Keys</h2><p>{escape(_KEYS)}</p>" if schemes else ""
    sections = [
        _operation(path, method, operation, schemas)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(info['title'])}</title><style>{_STYLE}</style></head><body>"
        f"<h1>{escape(info['title'])}</h1><p>{escape(info['description'])} "
        'The same as data: <a href="openapi.json">openapi.json</a>.</p>'
        f"{keys}{''.join(sections)}"
        "<h2>Errors</h2><p>Every error has this shape, but for /v2 and what is MLflow's, where "
        "errors have the shape of the protocol.</p>"
        f"{_table(schemas['Error']['properties']['error'])}</body></html>"
    )


def _operation(
    path: str, method: str, operation: Mapping[str, Any], schemas: Mapping[str, Any]
) -> str:
    parts = [
        f'<h2><span class="method">{escape(method.upper())}</span> <code>{escape(path)}</code>'
        f"</h2><p>{escape(operation['summary'])}.</p>"
    ]
    headers = [one for one in operation.get("parameters", ()) if one["in"] == "header"]
    if headers:
        parts.append(f"<h3>Headers</h3>{_table(_as_object(headers))}")
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if content:
        parts += _entries(content["schema"], schemas)
        example = _curl(path, content["example"], with_key="security" in operation)
        parts.append(f"<h3>Example</h3><pre>{escape(example)}</pre>")
        answer = operation["responses"]["200"]["content"]["application/json"]["schema"]
        parts.append(f"<h3>The answer</h3>{_table(answer)}")
        parts += _entries(answer, schemas)
    rows = "".join(
        f"<tr><td><code>{escape(status)}</code></td><td>{escape(response['description'])}</td></tr>"
        for status, response in operation["responses"].items()
    )
    return f"{''.join(parts)}<table>{rows}</table>"


def _entries(body: Mapping[str, Any], schemas: Mapping[str, Any]) -> list[str]:
    """What one entry of each list of a body looks like."""
    return [
        f"<h3>One of <code>{escape(name)}</code></h3>{_table(schema)}"
        for name, field in body["properties"].items()
        if field.get("type") == "array"
        for resolved in [_resolved(field["items"], schemas)]
        for schema in resolved.get("oneOf", [resolved])
    ]


def _table(schema: Mapping[str, Any]) -> str:
    required = schema.get("required", ())
    rows = "".join(
        f"<tr><td><code>{escape(name)}</code></td><td>{escape(_rule(field))}</td>"
        f"<td>{'required' if name in required else ''}</td>"
        f"<td>{escape(field.get('description', ''))}</td></tr>"
        for name, field in schema["properties"].items()
    )
    head = "<tr><th>name</th><th>value</th><th></th><th>meaning</th></tr>"
    return f"<table>{head}{rows}</table>"


def _as_object(parameters: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Parameters as a schema, which a table can show."""
    properties = {
        one["name"]: {**one["schema"], "description": one["description"]} for one in parameters
    }
    return {"properties": properties}


def _rule(field: Mapping[str, Any]) -> str:
    if "const" in field:
        return json.dumps(field["const"])
    if "enum" in field:
        return " or ".join(json.dumps(value) for value in field["enum"])
    kind = field.get("type", "anything")
    text = kind if isinstance(kind, str) else " or ".join(kind)
    bounds = [
        f"{sign} {field[name]:g}"
        for name, sign in (("minimum", "≥"), ("maximum", "≤"))
        if name in field
    ]
    return ", ".join([text, *bounds])


def _resolved(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> Mapping[str, Any]:
    name: str = schema["$ref"].rpartition("/")[2]
    found: Mapping[str, Any] = schemas[name]
    return found


def _curl(path: str, example: object, *, with_key: bool) -> str:
    body = json.dumps(example, ensure_ascii=False).replace("'", "'\\''")
    key = "  -H 'Authorization: Bearer ph_…' \\\n" if with_key else ""
    return (
        f"curl -X POST \\\n{key}  -H 'Content-Type: application/json' \\\n"
        f"  -d '{body}' \\\n  http://SERVER{path}"
    )
