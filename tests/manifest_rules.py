"""What has to hold between Kubernetes manifests. Each rule yields a sentence an offence."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from typing import Any

from core.settings import CODE_ROOT, Settings
from tests.manifest_network import (
    ingresses_lead_to_services,
    only_panel_and_models_are_open,
    ports_are_declared,
    selectors_find_pods,
)
from tests.manifest_references import references_lead_somewhere, secret_files_are_mounted
from tests.manifests import COMPONENT, Installation, probes_of

Rule = Callable[[Installation], Iterator[str]]

CODE_IN_IMAGE = PurePosixPath("/srv/pilothouse")
#: Programs of the images' own that a command or a probe may name.
PROGRAMS = {"streamlit", "mlflow", "pilothouse", "ray", "weed", "/bin/sh", "pg_isready"}
#: Images that start their program by themselves; KubeRay writes the command of Ray's pods.
WITH_ENTRYPOINT = {"postgres"}
RAY_CONTAINERS = {"ray-head", "ray-worker"}
DECLARED = {f"PILOTHOUSE_{name.upper()}" for name in Settings.model_fields}
PROJECT = tomllib.loads((CODE_ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LABELS = ("app.kubernetes.io/name", COMPONENT, "app.kubernetes.io/part-of")


def names_are_used_once(found: Installation) -> Iterator[str]:
    counted = Counter((one["kind"], one["metadata"]["name"]) for one in found.objects)
    yield from (f"{kind} {name} is there {n} times" for (kind, name), n in counted.items() if n > 1)


def everything_is_labelled(found: Installation) -> Iterator[str]:
    for one in found.objects:
        labels = one["metadata"].get("labels", {})
        for label in LABELS:
            if not labels.get(label):
                yield f"{one['kind']} {one['metadata']['name']} has no {label}"
    for pod in found.pods:
        for label in LABELS[1:]:
            if not pod.labels.get(label):
                yield f"a pod of {pod.owner} has no {label}"


def settings_are_declared(found: Installation) -> Iterator[str]:
    named = {key for one in found.of("ConfigMap") for key in one["data"]}
    for pod in found.pods:
        named |= {one["name"] for c in pod.all_containers for one in c.get("env", ())}
    for name in sorted(named):
        if name.startswith("PILOTHOUSE_") and name not in DECLARED:
            yield f"{name} is no setting"


def programs_exist(found: Installation) -> Iterator[str]:
    for pod in found.pods:
        for container in pod.all_containers:
            where = f"{container['name']} of {pod.owner}"
            command = [*container.get("command", ()), *container.get("args", ())]
            has_own = container["name"] in RAY_CONTAINERS | WITH_ENTRYPOINT
            if not command and not has_own:
                yield f"{where} has no command"
            hook = container.get("lifecycle", {}).get("preStop", {}).get("exec", {})
            probes = (one.get("exec", {}).get("command", []) for one in probes_of(container))
            for argv in (command, hook.get("command", []), *probes):
                if argv and not _exists(argv):
                    yield f"{where} starts what does not exist: {argv[:3]}"


def _exists(argv: list[str]) -> bool:
    if argv[:2] == ["python", "-m"]:
        module = CODE_ROOT.joinpath(*argv[2].split("."))
        return module.with_suffix(".py").is_file() or (module / "__main__.py").is_file()
    files = (PurePosixPath(word) for word in argv if word.startswith(f"{CODE_IN_IMAGE}/"))
    ours = (CODE_ROOT / file.relative_to(CODE_IN_IMAGE) for file in files)
    return argv[0] in PROGRAMS and all(file.is_file() for file in ours)


def images_are_pinned(found: Installation) -> Iterator[str]:
    for pod in found.pods:
        for container in pod.all_containers:
            name, _, tag = container["image"].rpartition(":")
            if not re.fullmatch(r"\d+\.\d+.*", tag):
                yield f"{container['image']} is not pinned"
            if name == PROJECT["name"] and tag != PROJECT["version"]:
                yield f"{container['image']} is not of this release, {PROJECT['version']}"


def nothing_has_more_rights_than_it_needs(found: Installation) -> Iterator[str]:
    for pod in found.pods:
        context: dict[str, Any] = pod.spec.get("securityContext", {})
        profile = context.get("seccompProfile", {}).get("type")
        if not context.get("runAsNonRoot") or not context.get("runAsUser"):
            yield f"{pod.owner} may run as root"
        if profile != "RuntimeDefault":
            yield f"{pod.owner} has no seccomp profile"
        if pod.spec.get("automountServiceAccountToken") is not False:
            yield f"{pod.owner} gets a token of Kubernetes"
        if any(pod.spec.get(f"host{what}") for what in ("Network", "PID", "IPC")):
            yield f"{pod.owner} is not kept apart from its node"
        if any("hostPath" in one for one in pod.spec.get("volumes", ())):
            yield f"{pod.owner} mounts a folder of its node"
        for container in pod.all_containers:
            where, own = f"{container['name']} of {pod.owner}", container.get("securityContext", {})
            if own.get("allowPrivilegeEscalation") is not False or own.get("privileged"):
                yield f"{where} may gain rights"
            if own.get("capabilities") != {"drop": ["ALL"]}:
                yield f"{where} keeps capabilities"
            if own.get("readOnlyRootFilesystem") is not True:
                yield f"{where} may write its image"


def everything_is_bounded_and_probed(found: Installation) -> Iterator[str]:
    for pod in found.pods:
        for container in pod.all_containers:
            resources = container.get("resources", {})
            for kind in ("requests", "limits"):
                if resources.get(kind, {}).keys() < {"cpu", "memory"}:
                    yield f"{container['name']} of {pod.owner} has no {kind}"
        for container in pod.containers:
            for probe in ("livenessProbe", "readinessProbe"):
                if probe not in container:
                    yield f"{container['name']} of {pod.owner} has no {probe}"


def no_secret_is_kept_here(found: Installation) -> Iterator[str]:
    yield from (f"Secret {name} is in the repository" for name in found.names("Secret"))


RULES: tuple[Rule, ...] = (
    names_are_used_once,
    everything_is_labelled,
    selectors_find_pods,
    ports_are_declared,
    ingresses_lead_to_services,
    only_panel_and_models_are_open,
    references_lead_somewhere,
    secret_files_are_mounted,
    settings_are_declared,
    programs_exist,
    images_are_pinned,
    nothing_has_more_rights_than_it_needs,
    everything_is_bounded_and_probed,
    no_secret_is_kept_here,
)


def offences(found: Installation) -> list[str]:
    """Every offence against every rule."""
    return [f"{rule.__name__}: {said}" for rule in RULES for said in rule(found)]
