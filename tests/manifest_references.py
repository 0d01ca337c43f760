"""Rules of manifests: what one names, another has to be. See ``manifest_rules``."""

from __future__ import annotations

from collections.abc import Iterator

from tests.manifests import Installation, Manifest, Pod, ray_spec


def references_lead_somewhere(found: Installation) -> Iterator[str]:
    maps = {one["metadata"]["name"]: set(one["data"]) for one in found.of("ConfigMap")}
    for pod in found.pods:
        volumes = {one["name"]: one for one in pod.spec.get("volumes", ())}
        for name, volume in volumes.items():
            yield from _unknown_source(found, maps, pod, volume)
            mounted = (m["name"] for one in pod.all_containers for m in one.get("volumeMounts", ()))
            if name not in mounted:
                yield f"nobody in {pod.owner} mounts {name}"
        for container in pod.all_containers:
            where = f"{container['name']} of {pod.owner}"
            for mount in container.get("volumeMounts", ()):
                if mount["name"] not in volumes.keys() | pod.own_claims:
                    yield f"{where} mounts {mount['name']}, which is not there"
            for source in container.get("envFrom", ()):
                if source["configMapRef"]["name"] not in maps:
                    yield f"{where} takes its environment from a map that is not there"
            for one in container.get("env", ()):
                ref = one.get("valueFrom", {}).get("secretKeyRef")
                if ref and ref["key"] not in found.secrets.get(ref["name"], ()):
                    yield f"{where} names a secret that is not there: {ref}"
    for one in found.objects:
        ray = ray_spec(one)
        if ray and "auth_token" not in found.secrets.get(ray["authOptions"]["secretName"], ()):
            yield "Ray's token is in no secret"


def _unknown_source(
    found: Installation, maps: dict[str, set[str]], pod: Pod, volume: Manifest
) -> Iterator[str]:
    claim = volume.get("persistentVolumeClaim", {}).get("claimName")
    if claim and claim not in found.names("PersistentVolumeClaim"):
        yield f"{pod.owner} claims {claim}, which is not there"
    if "configMap" in volume and volume["configMap"]["name"] not in maps:
        yield f"{pod.owner} mounts a map that is not there: {volume['configMap']['name']}"
    if "secret" in volume:
        name = volume["secret"]["secretName"]
        keys = {one["key"] for one in volume["secret"].get("items", ())}
        if name not in found.secrets or not keys <= found.secrets[name]:
            yield f"{pod.owner} mounts a secret that is not there: {name} {sorted(keys)}"


def secret_files_are_mounted(found: Installation) -> Iterator[str]:
    for pod in found.pods:
        for container in pod.all_containers:
            there = set(_secret_files(found, pod, container))
            for file in _secret_files_named(container):
                if file not in there:
                    yield f"{container['name']} of {pod.owner} is told of {file}, which is nowhere"


def _secret_files(found: Installation, pod: Pod, container: Manifest) -> Iterator[str]:
    volumes = {one["name"]: one for one in pod.spec.get("volumes", ())}
    for mount in container.get("volumeMounts", ()):
        secret = volumes.get(mount["name"], {}).get("secret")
        if secret:
            keys = found.secrets.get(secret["secretName"], set())
            for name in [one["path"] for one in secret.get("items", ())] or keys:
                yield f"{mount['mountPath']}/{name}"


def _secret_files_named(container: Manifest) -> Iterator[str]:
    given = (str(one.get("value", "")) for one in container.get("env", ()))
    for text in (*container.get("args", ()), *given):
        if text.startswith("/run/secrets/"):
            yield text
