"""Kubernetes manifests as a test sees them: read, taken apart, and looked up. Builds nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from core.settings import CODE_ROOT

KUBERAY = CODE_ROOT / "deploy" / "kuberay"
EXAMPLE = KUBERAY / "overlays" / "example"
COMPONENT = "app.kubernetes.io/component"
Manifest = dict[str, Any]


@dataclass(frozen=True)
class Pod:
    """A pod template, by the object that holds it."""

    owner: str
    labels: Mapping[str, str]
    spec: Manifest
    #: Claims that its owner makes for it.
    own_claims: frozenset[str] = frozenset()

    @property
    def containers(self) -> list[Manifest]:
        return list(self.spec["containers"])

    @property
    def all_containers(self) -> list[Manifest]:
        return [*self.spec.get("initContainers", ()), *self.containers]

    @property
    def ports(self) -> dict[str, int]:
        """Name -> number of every port that a container declares."""
        declared = (port for one in self.containers for port in one.get("ports", ()))
        return {port["name"]: port["containerPort"] for port in declared}

    def has_port(self, port: str | int) -> bool:
        return port in self.ports or port in self.ports.values()


@dataclass(frozen=True)
class Installation:
    """Objects, and secrets that are made from files: name -> keys."""

    objects: list[Manifest]
    secrets: dict[str, set[str]]

    def of(self, *kinds: str) -> list[Manifest]:
        return [one for one in self.objects if one["kind"] in kinds]

    def get(self, kind: str, name: str) -> Manifest:
        return next(one for one in self.of(kind) if one["metadata"]["name"] == name)

    def names(self, kind: str) -> set[str]:
        return {one["metadata"]["name"] for one in self.of(kind)}

    @property
    def pods(self) -> list[Pod]:
        return [pod for one in self.objects for pod in _pods_of(one)]

    def selected(self, selector: Manifest) -> list[Pod]:
        return [pod for pod in self.pods if matches(selector, pod.labels)]


def matches(selector: Manifest, labels: Mapping[str, str]) -> bool:
    """Whether a label selector with ``matchLabels`` and ``In`` takes these labels."""
    wanted = selector.get("matchLabels", {})
    listed = selector.get("matchExpressions", ())
    assert all(one["operator"] == "In" for one in listed)
    return wanted.items() <= labels.items() and all(
        labels.get(one["key"]) in one["values"] for one in listed
    )


def ray_spec(one: Manifest) -> Manifest | None:
    """The cluster that a RayCluster or a RayService describes; ``None`` for anything else."""
    spec = one.get("spec", {})
    return {"RayCluster": spec, "RayService": spec.get("rayClusterConfig")}.get(one["kind"])


def _pods_of(one: Manifest) -> Iterator[Pod]:
    owner, ray = f"{one['kind']} {one['metadata']['name']}", ray_spec(one)
    if one["kind"] in ("Deployment", "StatefulSet"):
        template = one["spec"]["template"]
        claims = (
            claim["metadata"]["name"] for claim in one["spec"].get("volumeClaimTemplates", ())
        )
        yield Pod(owner, template["metadata"]["labels"], template["spec"], frozenset(claims))
    elif ray is not None:
        for group in (ray["headGroupSpec"], *ray["workerGroupSpecs"]):
            template = group["template"]
            yield Pod(owner, template["metadata"]["labels"], template["spec"])


def probes_of(container: Manifest) -> list[Manifest]:
    """Everything by which Kubernetes looks after a container."""
    names = ("startupProbe", "livenessProbe", "readinessProbe")
    return [container[name] for name in names if name in container]


def read(file: Path) -> Manifest:
    """One file holds one object, because the validator reads one."""
    (found,) = yaml.safe_load_all(file.read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


def read_installation(folder: Path) -> Installation:
    """What a kustomization lists, with all that those it lists do; patches are left out."""
    kustomization = read(folder / "kustomization.yaml")
    objects: list[Manifest] = []
    secrets = {
        one["name"]: {given.partition("=")[0].rpartition("/")[2] for given in one["files"]}
        for one in kustomization.get("secretGenerator", ())
    }
    for name in kustomization["resources"]:
        path = folder / name
        if path.is_dir():
            inner = read_installation(path)
            objects += inner.objects
            secrets |= inner.secrets
        else:
            objects.append(read(path))
    return Installation(objects, secrets)


def with_service(example: Installation) -> Installation:
    """The same installation with the RayService instead of the RayCluster."""
    cluster, service = (read_installation(KUBERAY / name) for name in ("cluster", "service"))
    kept = [one for one in example.objects if one not in cluster.objects]
    return Installation([*kept, *service.objects], example.secrets)
