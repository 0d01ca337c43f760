"""The Dockerfile and the Compose file hang together, and open nothing by themselves."""

from __future__ import annotations

import ast
import json
import re
from typing import Any

import pytest
import yaml

from core.services.ports import InternalPorts
from core.settings import CODE_ROOT, Settings, variable_of
from tests.command_line import every_command
from tests.containers import command_of, compose, dockerfile, filled_in, ours

TARGETS = ("ray", "ray-node", "mlflow", "worker", "panel")
VARIABLES = {variable_of(name) for name in Settings.model_fields}
OURS = sorted(ours())
#: What an operator has to choose.
CHOSEN = {"POSTGRES_PASSWORD": "x", "STORE_KEY_ID": "y", "STORE_SECRET": "z"}


def test_each_service_of_an_installation_has_a_target_and_runs_in_compose() -> None:
    assert set(TARGETS) <= set(dockerfile())
    assert {one["build"]["target"] for one in ours().values()} == {*TARGETS, "base"}
    for one in ours().values():
        # As scripts/images.sh names what it builds.
        own = "${IMAGE:-pilothouse}-" + one["build"]["target"] + ":${VERSION:-latest}"
        assert one["image"] == own


@pytest.mark.parametrize("name", OURS)
def test_it_starts_a_command_that_exists(name: str) -> None:
    program, *words = command_of(ours()[name])
    assert program == "pilothouse"
    assert " ".join(words) in every_command()


@pytest.mark.parametrize("name", TARGETS)
def test_every_image_says_whether_it_is_healthy(name: str) -> None:
    (check,) = dockerfile()[name].all("HEALTHCHECK")
    assert "deploy/container/healthy.py" in check
    assert (CODE_ROOT / "deploy/container/healthy.py").is_file()


def test_images_are_pinned_run_as_nobody_in_particular_and_hold_no_compiler() -> None:
    stages = dockerfile()
    for stage in stages.values():
        assert stage.image in stages or re.search(r":\d+\.\d+\.\d+-", stage.image), stage.image
    assert stages["base"].all("USER") == ["10001"]
    for name in TARGETS:
        assert stages[name].image == "base"
        assert not stages[name].all("USER")
    assert not any("apt-get" in line for line in stages["base"].all("RUN"))


@pytest.mark.parametrize("name", OURS)
def test_every_variable_is_a_setting(name: str) -> None:
    environment = ours()[name]["environment"]
    given = {one for one in environment if one.startswith("PILOTHOUSE_")}
    assert given == set(environment)
    assert given <= VARIABLES


def test_secrets_reach_the_services_that_need_them_alone() -> None:
    told = {name: set(one["environment"]) for name, one in ours().items()}
    assert [n for n in told if "PILOTHOUSE_ALERT_URL" in told[n]] == ["worker"]
    assert [n for n in told if "PILOTHOUSE_OIDC_CLIENT_SECRET" in told[n]] == ["panel"]
    assert [n for n in told if "PILOTHOUSE_MLFLOW_DATABASE_URL" in told[n]] == ["mlflow"]
    with_database = [n for n in told if "PILOTHOUSE_DATABASE_URL" in told[n]]
    assert with_database == ["ray", "worker", "panel", "models"]
    # What runs in jobs could read it from an init that stays.
    assert ours()["ray"]["init"] is False


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        ("POSTGRES_PASSWORD", "PILOTHOUSE_DATABASE_URL"),
        ("STORE_KEY_ID", "PILOTHOUSE_S3_ACCESS_KEY_ID"),
        ("STORE_SECRET", "PILOTHOUSE_S3_SECRET_ACCESS_KEY"),
    ],
)
def test_nothing_starts_without_a_secret_and_none_is_known(name: str, setting: str) -> None:
    text = (CODE_ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    assert set(re.findall(rf"\$\{{{name}([^}}]*)\}}", text)) == {":?set it in .env"}
    example = (CODE_ROOT / "deploy/container/env.example").read_text(encoding="utf-8")
    assert f"{name}=\n" in example
    given = ours()["worker"]["environment"][setting]
    assert CHOSEN[name] in filled_in(given, CHOSEN)
    with pytest.raises(KeyError, match=name):
        filled_in(given, {key: value for key, value in CHOSEN.items() if key != name})


def test_the_store_knows_the_one_key_that_services_are_told() -> None:
    document = compose()
    (config,) = document["services"]["store"]["configs"]
    keys = json.loads(filled_in(document["configs"][config["source"]]["content"], CHOSEN))
    (identity,) = keys["identities"]
    assert identity["credentials"] == [{"accessKey": "y", "secretKey": "z"}]
    assert f"-s3.config={config['target']}" in document["services"]["store"]["command"]
    (port,) = document["services"]["store"]["ports"]
    for service in ours().values():
        told = {k: filled_in(str(v), CHOSEN) for k, v in service["environment"].items()}
        names = {k.removeprefix("PILOTHOUSE_").lower(): v for k, v in told.items()}
        store = Settings(**names).store
        assert store is not None
        assert (store.key_id, store.secret) == ("y", "z")
        assert filled_in(port, {}).startswith(store.endpoint.removeprefix("http://"))


def test_no_other_container_is_in_the_network_of_the_store() -> None:
    # Its filer asks nobody for a key.
    services = compose()["services"]
    assert [n for n, one in services.items() if "objects" in one.get("networks", ())] == ["store"]
    assert set(services["store"]["networks"]) <= set(compose()["networks"])


@pytest.mark.parametrize("name", sorted(compose()["services"]))
def test_what_is_published_is_published_on_the_loopback(name: str) -> None:
    service: dict[str, Any] = compose()["services"][name]
    assert "no-new-privileges:true" in service["security_opt"]
    assert not service.get("privileged")
    for port in service.get("ports", ()):
        assert port.startswith("127.0.0.1:")
    image = service["image"]
    assert "build" in service or re.search(r":\d+\.\d+", image), image
    assert not image.endswith(":latest")


@pytest.mark.parametrize("name", OURS)
def test_on_the_hosts_network_everything_binds_the_loopback(name: str) -> None:
    service = ours()[name]
    assert service["network_mode"] == "host"
    assert service["cap_drop"] == ["ALL"]
    settings = {key: filled_in(str(value), CHOSEN) for key, value in service["environment"].items()}
    assert settings["PILOTHOUSE_HOST"] == "127.0.0.1"
    assert "PILOTHOUSE_CLUSTER_HOST" not in settings
    assert settings["PILOTHOUSE_TELEMETRY"] == "false"


def test_what_a_service_waits_for_exists_and_can_be_healthy() -> None:
    services = compose()["services"]
    for one in services.values():
        for needed, how in one.get("depends_on", {}).items():
            target = services[needed].get("build", {}).get("target")
            if how["condition"] == "service_completed_successfully":
                assert services[needed]["restart"] == "no"
                continue
            assert how["condition"] == "service_healthy"
            assert "healthcheck" in services[needed] or dockerfile()[target].all("HEALTHCHECK")


def test_volumes_and_configs_are_declared() -> None:
    document = compose()
    for one in document["services"].values():
        assert {v.partition(":")[0] for v in one.get("volumes", ())} <= set(document["volumes"])
        assert {c["source"] for c in one.get("configs", ())} <= set(document["configs"])


def test_what_the_image_copies_is_sent_to_the_builder() -> None:
    sent = (CODE_ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    for stage in ("builder", "base"):
        for copied in dockerfile()[stage].all("COPY"):
            *sources, _ = copied.split()
            if sources[0].startswith("--from"):
                continue
            for source in sources:
                assert (CODE_ROOT / source).exists(), source
                assert f"!{source}" in sent, source


def test_the_example_of_variables_is_read_as_yaml_would() -> None:
    # A value with a sign that Compose expands would be another one than was written.
    assert yaml.safe_load(filled_in("a: ${X:-b}", {})) == {"a": "b"}
    assert filled_in("${X:-b}", {"X": "c"}) == "c"


def test_the_health_check_asks_the_port_that_rays_agent_has() -> None:
    source = (CODE_ROOT / "deploy" / "container" / "healthy.py").read_text(encoding="utf-8")
    (offset,) = (
        ast.literal_eval(node.value)
        for node in ast.parse(source).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "AGENT"
    )
    assert InternalPorts(1000).agent_http == 1000 + offset
