"""The manifests of deploy/kuberay hang together, say the same as the code, and fit the schemas."""

from __future__ import annotations

import copy
import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jsonschema
import pytest
import yaml

from core.deployment.endpoint import HttpOptions, Places, application_config
from core.hosts import LOOPBACK
from core.params import load_params
from core.services.environment import Launch, declared_environment
from core.services.health import HEARTBEAT_MAX_AGE_S
from core.services.java import JavaRuntime
from core.services.layout import layout_of
from core.services.programs import default_programs
from core.services.proxy_files import POD_PORTS
from core.settings import CODE_ROOT, Settings, vendor_privacy
from core.settings_store import STORE_KEY
from tests.manifest_rules import RULES, offences
from tests.manifests import (
    EXAMPLE,
    KUBERAY,
    Installation,
    Manifest,
    ray_spec,
    read,
    read_installation,
    with_service,
)
from tests.serving_support import admission

INSTALLATION = read_installation(EXAMPLE)
WITH_SERVICE = with_service(INSTALLATION)
FILES = sorted(
    file
    for folder in ("base", "cluster", "service", "overlays/example")
    for file in (KUBERAY / folder).glob("*.yaml")
    if file.name != "kustomization.yaml"
)
PATCHES = {one["path"] for one in read(EXAMPLE / "kustomization.yaml")["patches"]}
SCHEMA = json.loads((KUBERAY / "schemas" / "manifests.json").read_text(encoding="utf-8"))

Path_ = tuple[str | int, ...]
#: Makes an installation worse.
Break = Callable[[Installation], None]
GONE: Any = object()
WORKER = ("spec", "template", "spec")
FIRST = (*WORKER, "containers", 0)


def put(kind: str, name: str, path: Path_, value: object) -> Break:
    """Changes one place of one object; ``GONE`` removes it."""

    def change(found: Installation) -> None:
        inner: Any = found.get(kind, f"pilothouse{name and '-' + name}")
        for step in path[:-1]:
            inner = inner[step]
        if value is GONE:
            del inner[path[-1]]
        else:
            inner[path[-1]] = value

    return change


def twice(found: Installation) -> None:
    found.objects.append(found.objects[-1])


def with_a_secret(found: Installation) -> None:
    found.objects.append({"kind": "Secret", "metadata": {"name": "x", "labels": {}}})


def without(kind: str, name: str) -> Break:
    return lambda found: found.objects.remove(found.get(kind, f"pilothouse-{name}"))


def worker(path: Path_, value: object) -> Break:
    return put("Deployment", "worker", (*FIRST, *path), value)


def ray_head(path: Path_, value: object) -> Break:
    start = ("spec", "headGroupSpec", "template", "spec", "containers", 0)
    return put("RayCluster", "", (*start, *path), value)


#: Rule -> what it has to see.
MUTATIONS: list[tuple[str, Break]] = [
    ("names_are_used_once", twice),
    ("everything_is_labelled", put("Service", "panel", ("metadata", "labels"), {})),
    (
        "everything_is_labelled",
        put("Deployment", "worker", ("spec", "template", "metadata", "labels"), {}),
    ),
    (
        "selectors_find_pods",
        put("Service", "mlflow", ("spec", "selector", "app.kubernetes.io/component"), "x"),
    ),
    (
        "selectors_find_pods",
        put("Deployment", "panel", ("spec", "selector", "matchLabels"), {"a": "b"}),
    ),
    (
        "selectors_find_pods",
        put("PodDisruptionBudget", "ray-head", ("spec", "selector", "matchLabels"), {"a": "b"}),
    ),
    (
        "selectors_find_pods",
        put("NetworkPolicy", "mlflow", ("spec", "podSelector", "matchLabels"), {"a": "b"}),
    ),
    (
        "selectors_find_pods",
        put(
            "NetworkPolicy",
            "postgres",
            ("spec", "ingress", 0, "from", 0, "podSelector", "matchExpressions", 0, "values"),
            ["mlfow"],
        ),
    ),
    ("selectors_find_pods", put("StatefulSet", "postgres", ("spec", "serviceName"), "x")),
    (
        "ports_are_declared",
        put("Service", "panel", ("spec", "ports", 0, "targetPort"), "web"),
    ),
    (
        "ports_are_declared",
        put("Deployment", "mlflow", (*FIRST, "livenessProbe", "httpGet", "port"), 5001),
    ),
    (
        "ports_are_declared",
        put("NetworkPolicy", "mlflow", ("spec", "ingress", 0, "ports", 0, "port"), 5001),
    ),
    (
        "ports_are_declared",
        put("NetworkPolicy", "mlflow", ("spec", "egress", 0, "ports", 0, "port"), 5433),
    ),
    (
        "ingresses_lead_to_services",
        put(
            "Ingress",
            "panel",
            ("spec", "rules", 0, "http", "paths", 0, "backend", "service", "name"),
            "pilothouse-pane",
        ),
    ),
    ("ingresses_lead_to_services", put("Ingress", "models", ("spec", "tls", 0, "hosts"), ["x"])),
    ("only_panel_and_models_are_open", without("NetworkPolicy", "deny")),
    (
        "only_panel_and_models_are_open",
        put("NetworkPolicy", "ray", ("spec", "ingress", 1, "from"), GONE),
    ),
    (
        "only_panel_and_models_are_open",
        put("NetworkPolicy", "mlflow", ("spec", "ingress"), [{}]),
    ),
    (
        "only_panel_and_models_are_open",
        put(
            "NetworkPolicy",
            "postgres",
            ("spec", "ingress", 0, "from"),
            [{"ipBlock": {"cidr": "0.0.0.0/0"}}],
        ),
    ),
    ("references_lead_somewhere", without("ConfigMap", "settings")),
    ("references_lead_somewhere", without("ConfigMap", "postgres-databases")),
    ("references_lead_somewhere", without("PersistentVolumeClaim", "home")),
    (
        "references_lead_somewhere",
        put("Deployment", "mlflow", (*FIRST, "env", 1, "valueFrom", "secretKeyRef", "key"), "x"),
    ),
    (
        "references_lead_somewhere",
        put("Deployment", "panel", (*WORKER, "volumes", 1, "secret", "secretName"), "x"),
    ),
    ("references_lead_somewhere", worker(("volumeMounts", 0, "name"), "hom")),
    (
        "references_lead_somewhere",
        put("RayCluster", "", ("spec", "authOptions", "secretName"), "pilothouse"),
    ),
    (
        "references_lead_somewhere",
        put("Deployment", "worker", (*WORKER, "volumes", 4, "name"), "spare"),
    ),
    ("secret_files_are_mounted", worker(("env", 0, "value"), "/run/secrets/pilothouse/db/url")),
    (
        "secret_files_are_mounted",
        put(
            "Deployment",
            "mlflow",
            (*WORKER, "initContainers", 0, "args", 0),
            "/run/secrets/pilothouse/postgres/postgres-password",
        ),
    ),
    (
        "settings_are_declared",
        put("ConfigMap", "settings", ("data", "PILOTHOUSE_RAY_TOKEN_FILE"), "/x"),
    ),
    ("settings_are_declared", worker(("env", 0, "name"), "PILOTHOUSE_DATABASE")),
    ("programs_exist", worker(("command",), ["python", "-m", "core.wrker"])),
    ("programs_exist", worker(("command",), GONE)),
    ("programs_exist", worker(("livenessProbe", "exec", "command"), ["curl"])),
    (
        "programs_exist",
        put("Deployment", "panel", (*FIRST, "args", 1), "/srv/pilothouse/app/serve.py"),
    ),
    ("images_are_pinned", worker(("image",), "pilothouse")),
    ("images_are_pinned", worker(("image",), "pilothouse:latest")),
    ("images_are_pinned", worker(("image",), "pilothouse:0.0.9")),
    ("images_are_pinned", put("StatefulSet", "postgres", (*FIRST, "image"), "postgres:bookworm")),
    *(
        ("nothing_has_more_rights_than_it_needs", broken)
        for broken in (
            put("Deployment", "worker", (*WORKER, "securityContext"), GONE),
            put("Deployment", "worker", (*WORKER, "securityContext", "runAsUser"), 0),
            put("Deployment", "worker", (*WORKER, "securityContext", "seccompProfile"), GONE),
            put("Deployment", "worker", (*WORKER, "automountServiceAccountToken"), True),
            put("Deployment", "worker", (*WORKER, "hostNetwork"), True),
            put("Deployment", "worker", (*WORKER, "volumes", 4, "hostPath"), {"path": "/"}),
            worker(("securityContext",), GONE),
            worker(("securityContext", "capabilities", "add"), ["NET_RAW"]),
            worker(("securityContext", "readOnlyRootFilesystem"), False),
            worker(("securityContext", "allowPrivilegeEscalation"), True),
            ray_head(("securityContext",), GONE),
        )
    ),
    ("everything_is_bounded_and_probed", worker(("resources", "limits", "memory"), GONE)),
    ("everything_is_bounded_and_probed", worker(("resources",), GONE)),
    ("everything_is_bounded_and_probed", worker(("readinessProbe",), GONE)),
    ("everything_is_bounded_and_probed", ray_head(("livenessProbe",), GONE)),
    ("no_secret_is_kept_here", with_a_secret),
]


def changed(installation: Installation, broken: Break) -> Installation:
    found = Installation(copy.deepcopy(installation.objects), dict(installation.secrets))
    broken(found)
    return found


@pytest.mark.parametrize("found", [INSTALLATION, WITH_SERVICE], ids=["cluster", "service"])
def test_everything_hangs_together(found: Installation) -> None:
    assert len(found.pods) == 7
    assert offences(found) == []


@pytest.mark.parametrize(("rule", "broken"), MUTATIONS)
def test_each_rule_sees_what_breaks_it(rule: str, broken: Break) -> None:
    said = offences(changed(INSTALLATION, broken))

    assert [one for one in said if one.startswith(f"{rule}: ")]


def test_every_rule_is_tried() -> None:
    assert {rule.__name__ for rule in RULES} == {name for name, _ in MUTATIONS}


@pytest.mark.parametrize("folder", ["base", "cluster", "service", "overlays/example"])
def test_every_file_is_listed(folder: str) -> None:
    kustomization = read(KUBERAY / folder / "kustomization.yaml")
    listed = [
        *kustomization["resources"],
        *(one["path"] for one in kustomization.get("patches", ())),
    ]
    files = {file.name for file in (KUBERAY / folder).glob("*.yaml")} - {"kustomization.yaml"}

    assert {name for name in listed if not name.startswith("../")} == files


def test_patches_change_what_is_there() -> None:
    assert PATCHES
    for name in PATCHES:
        patch = read(EXAMPLE / name)
        target = INSTALLATION.get(patch["kind"], patch["metadata"]["name"])
        # A patch may add a storage class; a name of a setting must be one that is read.
        assert patch.get("data", {}).keys() <= target.get("data", {}).keys()


def test_secrets_come_from_files_that_git_does_not_have() -> None:
    generated = read(EXAMPLE / "kustomization.yaml")["secretGenerator"]
    files = {given.rpartition("=")[2] for one in generated for given in one["files"]}

    assert {f"secrets/{file.name}" for file in (EXAMPLE / "secrets.example").iterdir()} == files
    assert (EXAMPLE / ".gitignore").read_text(encoding="utf-8").split() == ["secrets/"]


# --- the same as the code says -------------------------------------------------------------


def launch() -> Launch:
    """What ``pilothouse up`` would start from the settings of the manifests, with a pod's ports."""
    told = {
        name.removeprefix("PILOTHOUSE_").lower(): value
        for name, value in INSTALLATION.get("ConfigMap", "pilothouse-settings")["data"].items()
        if name.startswith("PILOTHOUSE_")
    }
    settings = Settings(**told)
    java = JavaRuntime(Path(map_of("ray-environment")["JAVA_HOME"]), 17, "wheel")
    return Launch(settings, layout_of(settings.home), POD_PORTS, java)


def map_of(name: str) -> dict[str, str]:
    data: dict[str, str] = INSTALLATION.get("ConfigMap", f"pilothouse-{name}")["data"]
    return data


def argv_of(program: str) -> list[str]:
    """A program as ``up`` starts it, without the path of this machine's Python."""
    given = launch()
    # In the pod of MLflow nothing says that it is elsewhere. The key is mounted nowhere here.
    gone = dict.fromkeys(("mlflow_address", *(f"{name}_file" for name in STORE_KEY)), "")
    here = given.settings.model_copy(update=gone)
    programs = default_programs(replace(given, settings=here))
    (argv,) = (one.argv for one in programs if one.name == program)
    return list(argv)


def container_of(name: str) -> Manifest:
    found: Manifest = INSTALLATION.get("Deployment", f"pilothouse-{name}")["spec"]["template"][
        "spec"
    ]["containers"][0]
    return found


def test_the_worker_is_started_as_up_starts_it() -> None:
    assert container_of("worker")["command"] == ["python", *argv_of("worker")[1:]]


def test_the_panel_is_started_as_up_starts_it() -> None:
    panel = container_of("panel")
    args = [
        word.replace("$(PANEL_NAME)", map_of("settings")["PANEL_NAME"]) for word in panel["args"]
    ]

    wanted = [word.replace(str(CODE_ROOT), "/srv/pilothouse") for word in argv_of("panel")[2:]]
    assert [panel["command"], _pairs(args)] == [["streamlit"], _pairs(wanted)]


def test_mlflow_is_started_as_up_starts_it_but_for_what_it_stores_in_and_who_may_ask() -> None:
    given, wanted = container_of("mlflow")["args"], argv_of("mlflow")[2:]
    others = {"--backend-store-uri", "--host", "--allowed-hosts"}

    assert [pair for pair in _pairs(given) if pair[0] not in others] == [
        pair for pair in _pairs(wanted) if pair[0] not in others
    ]
    environment = {one["name"]: one.get("value") for one in container_of("mlflow")["env"]}
    same = declared_environment(launch()).items() & environment.items()
    assert {name for name, _ in same} >= {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION"}


def test_everybody_who_reads_or_writes_data_has_the_key_of_the_one_store() -> None:
    settings = map_of("settings")
    told = {one["name"]: one.get("value") for one in container_of("mlflow")["env"]}
    assert told["MLFLOW_S3_ENDPOINT_URL"] == settings["PILOTHOUSE_S3_ENDPOINT"]
    place = urlsplit(settings["PILOTHOUSE_S3_ENDPOINT"])
    (port,) = INSTALLATION.get("Service", str(place.hostname))["spec"]["ports"]
    assert port["port"] == place.port
    files = {settings[f"PILOTHOUSE_{name.upper()}_FILE"] for name in STORE_KEY}
    assert files == {f"/run/secrets/pilothouse/store/{key}" for key in ("key-id", "secret")}
    mounting = {
        container["name"]
        for pod in INSTALLATION.pods
        for container in pod.containers
        for mount in container.get("volumeMounts", ())
        if mount["mountPath"] == "/run/secrets/pilothouse/store"
    }
    # MLflow is told by its environment, which is all that it reads.
    assert mounting == {"panel", "worker", "ray-head", "ray-worker"}
    assert {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} <= told.keys()


def _pairs(words: list[str]) -> list[tuple[str, str]]:
    """Flags with their values; a flag without one stands with itself."""
    return sorted(
        (word, words[at + 1] if at + 1 < len(words) and not words[at + 1].startswith("--") else "")
        for at, word in enumerate(words)
        if word.startswith("--")
    )


def test_mlflow_answers_to_the_name_by_which_it_is_asked() -> None:
    args = container_of("mlflow")["args"]
    asked = urlsplit(launch().settings.mlflow_url).netloc

    assert asked in args[args.index("--allowed-hosts") + 1].split(",")


#: What `up` tells Ray because all of it shares one loopback address with others, and what
#: KubeRay says itself.
OF_ONE_MACHINE = {
    "PILOTHOUSE_INSTALLATION",
    "SPARK_LOCAL_IP",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER",
    "AUTOSCALER_METRIC_PORT",
    "DASHBOARD_METRIC_PORT",
    "RAY_AUTH_MODE",
    "RAY_AUTH_TOKEN_PATH",
    # Of MLflow's own process.
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION",
}


def test_ray_has_the_environment_that_up_gives_it() -> None:
    told = map_of("settings") | map_of("ray-environment")
    wanted = {
        name: value
        for name, value in declared_environment(launch()).items()
        if name not in OF_ONE_MACHINE and not name.startswith("PILOTHOUSE_")
    }
    for name in ("PYSPARK_PYTHON", "PYSPARK_DRIVER_PYTHON"):
        wanted[name] = "/opt/venv/bin/python"

    assert wanted.items() <= told.items()
    assert vendor_privacy().items() <= told.items()
    java, *_ = told["PATH"].split(":")
    assert java == f"{told['JAVA_HOME']}/bin"


def test_a_pod_is_known_by_the_heartbeat_that_the_core_writes() -> None:
    probe = container_of("worker")["livenessProbe"]["exec"]["command"][-1]

    assert "$PILOTHOUSE_HOME/run/worker.heartbeat" in probe
    assert launch().layout.worker_heartbeat.relative_to(launch().settings.home) == Path(
        "run/worker.heartbeat"
    )
    (age,) = (int(word.strip("'-")) for word in probe.split() if word.strip("'-").isdigit())
    assert age >= HEARTBEAT_MAX_AGE_S


@pytest.mark.parametrize("found", [INSTALLATION, WITH_SERVICE], ids=["cluster", "service"])
def test_others_are_asked_where_they_are(found: Installation) -> None:
    services = {
        one["metadata"]["name"]: {port["port"] for port in one["spec"]["ports"]}
        for one in found.of("Service")
    }
    # KubeRay makes the one for the head, and that for the models of a RayService.
    services |= {f"{name}-head-svc": {8265} for name in found.names("RayCluster")}
    for name in found.names("RayService"):
        services |= {f"{name}-head-svc": {8265}, f"{name}-serve-svc": {8000}}

    for name, url in map_of("settings").items():
        if name.endswith("_ADDRESS"):
            asked = urlsplit(url)
            assert asked.port in services[str(asked.hostname)]


def test_the_database_of_each_is_made_with_its_own_password() -> None:
    script = map_of("postgres-databases")["databases.sh"]

    assert "for name in pilothouse mlflow;" in script
    assert {"pilothouse-password", "mlflow-password"} <= INSTALLATION.secrets["pilothouse-postgres"]


def test_ray_is_the_one_that_the_lock_has() -> None:
    lock = (CODE_ROOT / "requirements.lock").read_text(encoding="utf-8")
    (version,) = (
        line.partition("==")[2].split()[0]
        for line in lock.splitlines()
        if line.startswith(("ray==", "ray[")) and "==" in line
    )

    for found in (INSTALLATION, WITH_SERVICE):
        (ray,) = (spec for one in found.objects if (spec := ray_spec(one)))
        assert ray["rayVersion"] == version


def test_a_service_holds_the_same_cluster() -> None:
    service = WITH_SERVICE.get("RayService", "pilothouse")

    assert ray_spec(service) == ray_spec(INSTALLATION.get("RayCluster", "pilothouse"))


def test_kuberay_puts_the_application_that_the_core_puts_but_for_what_it_serves() -> None:
    params = load_params(CODE_ROOT / "params.yaml")
    nowhere = Path("/")
    config = application_config(
        params.serving,
        HttpOptions(host=LOOPBACK, port=8000),
        places=Places(*[nowhere] * 6),
        packages=("core.problems",),
        models={},
        access=admission(nowhere),
    ).model_dump(mode="json", exclude_none=True)
    del config["applications"][0]["deployments"][0]["user_config"]

    text = WITH_SERVICE.get("RayService", "pilothouse")["spec"]["serveConfigV2"]
    assert yaml.safe_load(text) == config


# --- the schemas ---------------------------------------------------------------------------


def fits(manifest: Manifest) -> bool:
    return bool(jsonschema.Draft202012Validator(SCHEMA).is_valid(manifest))


def test_make_check_looks_at_every_manifest() -> None:
    said = subprocess.run(
        ["make", "--dry-run", "--always-make", "check"],
        cwd=CODE_ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    (line,) = (one for one in said.stdout.splitlines() if "schemas/manifests.json" in one)

    assert [CODE_ROOT / word for word in sorted(line.split()) if word.endswith(".yaml")] == FILES


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_a_manifest_fits_its_schema(file: Path) -> None:
    assert fits(read(file))


@pytest.mark.parametrize(
    ("kind", "name", "path", "value"),
    [
        ("Deployment", "worker", (*WORKER, "containrs"), []),
        ("Deployment", "worker", (*FIRST, "resources", "limit"), {}),
        ("Deployment", "worker", (*FIRST, "command"), "python"),
        ("Deployment", "worker", (*FIRST, "livenessProbe", "periodSeconds"), "soon"),
        ("Service", "panel", ("spec", "ports", 0, "port"), "http"),
        ("PodDisruptionBudget", "ray-head", ("spec", "minAvailabel"), 1),
        ("NetworkPolicy", "deny", ("spec", "policyTypes"), "Ingress"),
        ("Ingress", "panel", ("spec", "rules", 0, "http", "path"), []),
        ("StatefulSet", "postgres", ("spec", "serviceNames"), "x"),
        ("PersistentVolumeClaim", "home", ("spec", "accessMode"), []),
        ("ConfigMap", "settings", ("data", "PILOTHOUSE_RAY_TOKEN"), True),
        ("RayCluster", "", ("spec", "workerGroupSpec"), []),
        ("RayCluster", "", ("spec", "authOptions", "mode"), "password"),
        ("RayCluster", "", ("spec", "headGroupSpec", "rayStartParams", "num-cpus"), 2),
        ("RayCluster", "", ("spec", "headGroupSpec", "template"), GONE),
        ("RayCluster", "", ("spec", "headGroupSpec", "template", "spec", "hostNetwrk"), True),
        ("RayCluster", "", ("apiVersion",), "ray.io/v1alpha1"),
        ("RayCluster", "", ("kind",), "RayClutser"),
    ],
)
def test_a_schema_refuses_what_kubernetes_would(
    kind: str, name: str, path: Path_, value: object
) -> None:
    found = changed(INSTALLATION, lambda _: None)
    whole = found.get(kind, f"pilothouse{name and '-' + name}")
    put(kind, name, path, value)(found)

    assert not fits(whole)
