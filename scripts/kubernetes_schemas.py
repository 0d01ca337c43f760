"""Writes deploy/kuberay/schemas/manifests.json; the README beside that file says from what.

    python scripts/kubernetes_schemas.py DEFINITIONS

DEFINITIONS is Kubernetes' ``_definitions.json`` in the form of JSON Schema. Kept is what the kinds
below reach, without descriptions and what only an API server can judge; fields that nobody has
declared are refused. KubeRay's kinds are written down here, as far as our manifests use them.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

OUT = Path(__file__).resolve().parent.parent / "deploy" / "kuberay" / "schemas" / "manifests.json"
Schema = dict[str, Any]

#: Kind -> its apiVersion and its type in Kubernetes' definitions.
KINDS = {
    "ConfigMap": ("v1", "io.k8s.api.core.v1.ConfigMap"),
    "Deployment": ("apps/v1", "io.k8s.api.apps.v1.Deployment"),
    "Ingress": ("networking.k8s.io/v1", "io.k8s.api.networking.v1.Ingress"),
    "Namespace": ("v1", "io.k8s.api.core.v1.Namespace"),
    "NetworkPolicy": ("networking.k8s.io/v1", "io.k8s.api.networking.v1.NetworkPolicy"),
    "PersistentVolumeClaim": ("v1", "io.k8s.api.core.v1.PersistentVolumeClaim"),
    "PodDisruptionBudget": ("policy/v1", "io.k8s.api.policy.v1.PodDisruptionBudget"),
    "Service": ("v1", "io.k8s.api.core.v1.Service"),
    "StatefulSet": ("apps/v1", "io.k8s.api.apps.v1.StatefulSet"),
}
OBJECT_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
POD_TEMPLATE = "io.k8s.api.core.v1.PodTemplateSpec"
#: What a manifest has no business saying.
LEFT_OUT = {"status"}
KEPT = {
    "$ref", "additionalProperties", "allOf", "anyOf", "const", "enum", "items", "maxItems",
    "maxLength", "maximum", "minItems", "minLength", "minimum", "not", "oneOf", "pattern",
    "properties", "required", "type",
}  # fmt: skip


def reference(name: str) -> Schema:
    """A reference to a type that is kept."""
    return {"$ref": f"#/$defs/{name}"}


def strict(schema: Schema) -> Schema:
    """The same schema without words, which refuses fields that it does not declare."""
    made: Schema = {}
    for key, value in schema.items():
        if key not in KEPT:
            continue
        if key == "properties":
            made[key] = {
                name: strict(inner) for name, inner in value.items() if name not in LEFT_OUT
            }
        elif key == "$ref":
            made |= reference(value.rpartition("/")[2])
        elif key in ("items", "additionalProperties", "not") and isinstance(value, dict):
            made[key] = strict(value)
        elif key in ("allOf", "anyOf", "oneOf"):
            made[key] = [strict(one) for one in value]
        else:
            made[key] = value
    is_open = schema.get("x-kubernetes-preserve-unknown-fields", False)
    if "properties" in made and not is_open:
        made.setdefault("additionalProperties", False)
    return made


def reached(schema: object) -> Iterator[str]:
    """Names of the types that a schema refers to."""
    if isinstance(schema, dict):
        if "$ref" in schema:
            yield schema["$ref"].rpartition("/")[2]
        for value in schema.values():
            yield from reached(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from reached(value)


def of_kind(kind: str, version: str, schema: Schema) -> Schema:
    """A kind's schema, with its two words fixed and its metadata Kubernetes' own."""
    fixed = {"kind": {"const": kind}, "apiVersion": {"const": version}}
    properties = schema["properties"] | fixed | {"metadata": reference(OBJECT_META)}
    required = sorted({"apiVersion", "kind", "metadata"} | set(schema.get("required", ())))
    return schema | {"properties": properties, "required": required}


def an_object(required: Sequence[str] = (), **properties: Schema) -> Schema:
    """An object with these fields and no others."""
    return {
        "type": "object",
        "properties": properties,
        "required": sorted(required),
        "additionalProperties": False,
    }


def ray_kinds() -> dict[str, Schema]:
    """RayCluster and RayService of ray.io/v1 as their API reference describes them."""
    text, number, flag = {"type": "string"}, {"type": "integer", "minimum": 0}, {"type": "boolean"}
    texts = {"type": "object", "additionalProperties": text}
    group = {"rayStartParams": texts, "template": reference(POD_TEMPLATE)}
    head = an_object(["template"], **group)
    worker = an_object(
        ["groupName", "maxReplicas", "minReplicas", "template"],
        groupName=text,
        replicas=number,
        minReplicas=number,
        maxReplicas=number,
        **group,
    )
    cluster = an_object(
        ["headGroupSpec"],
        rayVersion=text,
        authOptions=an_object(mode={"enum": ["disabled", "token"]}, secretName=text),
        enableInTreeAutoscaling=flag,
        suspend=flag,
        headGroupSpec=head,
        workerGroupSpecs={"type": "array", "items": worker},
    )
    upgrade = an_object(type={"enum": ["NewCluster", "None"]})
    service = an_object(
        ["rayClusterConfig"],
        serveConfigV2=text,
        rayClusterConfig=cluster,
        upgradeStrategy=upgrade,
        excludeHeadPodFromServeSvc=flag,
    )
    specs = {"RayCluster": cluster, "RayService": service}
    return {
        kind: of_kind(kind, "ray.io/v1", an_object(["spec"], spec=spec))
        for kind, spec in specs.items()
    }


def build(definitions: dict[str, Schema]) -> Schema:
    """One schema for all kinds, with every type that they reach."""
    kinds = {
        kind: of_kind(kind, version, strict(definitions[name]))
        for kind, (version, name) in KINDS.items()
    } | ray_kinds()
    types: dict[str, Schema] = {}
    wanted = list(reached(kinds))
    while wanted:
        name = wanted.pop()
        if name not in types:
            types[name] = strict(definitions[name])
            wanted += reached(types[name])
    chosen = [
        {"if": {"properties": {"kind": {"const": kind}}}, "then": reference(f"kinds.{kind}")}
        for kind in sorted(kinds)
    ]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "required": ["apiVersion", "kind"],
        "properties": {"kind": {"enum": sorted(kinds)}},
        "allOf": chosen,
        "$defs": {f"kinds.{kind}": schema for kind, schema in kinds.items()} | types,
    }


def main() -> None:
    """Writes the file."""
    (given,) = (Path(argument) for argument in sys.argv[1:])
    schema = build(json.loads(given.read_text(encoding="utf-8"))["$defs"])
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(schema, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
