from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from core.backup import swap
from core.errors import SetupError
from core.services import foreground, layout, ports
from core.services.foreground import address_towards, become_ray_node, become_service
from core.services.java import JavaRuntime
from core.services.layout import layout_of
from core.services.programs import mlflow, panel, ray, worker
from core.settings import Settings


class Became:
    """What the process would have become."""

    argv: Sequence[str] = ()
    environment: Mapping[str, str] = {}

    def __call__(self, file: str, argv: Sequence[str], environment: Mapping[str, str]) -> None:
        assert file == argv[0]
        self.argv, self.environment = argv, environment


@pytest.fixture
def became(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Became:
    short = tmp_path / "short"
    short.mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(layout, "_FALLBACK_TEMP", str(short))
    monkeypatch.setattr(layout, "_LONGEST_TEMP", 0)
    monkeypatch.setattr(ports, "is_free", lambda port, host="": True)
    java = JavaRuntime(Path("/java"), 17, "system")
    monkeypatch.setattr(foreground, "find_java", lambda environment: java)
    made = Became()
    monkeypatch.setattr(os, "execvpe", made)
    return made


def settings_of(tmp_path: Path, **changed: object) -> Settings:
    return Settings(home=tmp_path / "home", **changed)


def start(program: object, settings: Settings) -> None:
    become_service(settings, layout_of(settings.home), {"PATH": "/usr/bin"}, program)


@pytest.mark.parametrize("program", [ray, mlflow, worker, panel])
def test_a_service_is_started_as_the_process_manager_would(
    tmp_path: Path, became: Became, program: object
) -> None:
    settings = settings_of(tmp_path)
    start(program, settings)
    kept = ports.InternalPorts(int(became.environment["DASHBOARD_METRIC_PORT"]) - 13)
    launch = foreground.launch_at(kept, settings, layout_of(settings.home), {})
    assert tuple(became.argv) == program(launch).argv
    assert became.environment["PILOTHOUSE_HOME"] == str(settings.home)
    assert became.environment["JAVA_HOME"] == "/java"


def test_a_service_sees_the_secrets_it_needs_and_no_other(tmp_path: Path, became: Became) -> None:
    settings = settings_of(tmp_path, alert_url="json://x", oidc_client_secret="hush")
    start(worker, settings)
    assert became.environment["PILOTHOUSE_ALERT_URL"] == "json://x"
    assert became.environment["PILOTHOUSE_OIDC_CLIENT_SECRET"] == ""
    start(panel, settings)
    assert became.environment["PILOTHOUSE_ALERT_URL"] == ""
    assert became.environment["PILOTHOUSE_OIDC_CLIENT_SECRET"] == "hush"
    start(ray, settings)
    assert "hush" not in became.environment.values()


def test_every_node_sees_the_key_of_the_store_and_nothing_else(
    tmp_path: Path, became: Became
) -> None:
    store = {"store_url": "s3://b", "s3_access_key_id": "K3y", "s3_secret_access_key": "S3cret"}
    settings = settings_of(tmp_path, alert_url="json://hush", **store)
    start(ray, settings)
    places = layout_of(settings.home)
    for join in (False, True):
        if join:
            became.environment = {}
            become_ray_node(settings, places, {}, head="", address="10.0.0.6")
        assert became.environment["PILOTHOUSE_S3_SECRET_ACCESS_KEY"] == "S3cret"
        assert "json://hush" not in became.environment.values()
        assert "S3cret" not in " ".join(became.argv)


def test_the_head_has_its_token_and_its_proxy_and_tells_its_ports(
    tmp_path: Path, became: Became
) -> None:
    settings = settings_of(tmp_path)
    start(ray, settings)
    places = layout_of(settings.home)
    assert settings.ray_token_file is not None
    assert settings.ray_token_file.exists()
    assert places.haproxy_launcher.exists()
    assert ports.read_ports(places.ports_file)


@pytest.mark.parametrize(
    ("program", "settings"),
    [
        (ray, {"ray_address": "http://head:8265"}),
        (mlflow, {"mlflow_address": "http://tracking:5000"}),
    ],
)
def test_what_is_elsewhere_is_not_started_here(
    tmp_path: Path, became: Became, program: object, settings: dict[str, str]
) -> None:
    with pytest.raises(SetupError, match="is at http://") as refused:
        start(program, settings_of(tmp_path, **settings))
    assert next(iter(settings)).upper() in refused.value.fix
    assert not became.argv


def test_a_node_finds_the_head_in_the_home_it_shares(tmp_path: Path, became: Became) -> None:
    settings = settings_of(tmp_path, cluster_host="10.0.0.5")
    start(ray, settings)
    kept = ports.read_ports(layout_of(settings.home).ports_file)
    assert kept is not None
    given = (settings, layout_of(settings.home), {})
    become_ray_node(*given, head="", address="10.0.0.6")
    assert f"10.0.0.5:{kept.gcs}" in became.argv
    assert became.environment["SPARK_LOCAL_IP"] == "10.0.0.6"
    become_ray_node(*given, head="127.0.0.1:6379", address="")
    assert "127.0.0.1:6379" in became.argv
    assert became.environment["SPARK_LOCAL_IP"] == "127.0.0.1"


@pytest.mark.parametrize("head", ["nowhere.invalid:6379", "127.0.0.1:none", "127.0.0.1"])
def test_a_head_that_cannot_be_found_is_said(head: str) -> None:
    with pytest.raises(SetupError, match="no way to the head"):
        address_towards(head)


def test_without_a_head_there_is_nothing_to_join(tmp_path: Path, became: Became) -> None:
    settings = settings_of(tmp_path)
    with pytest.raises(SetupError, match="no head"):
        become_ray_node(settings, layout_of(settings.home), {}, head="", address="")


def test_a_service_does_not_start_on_half_a_restore(tmp_path: Path, became: Became) -> None:
    settings = settings_of(tmp_path)
    settings.home.mkdir()
    (swap.begin(settings.home) / "pilothouse.db").write_text("restored")
    journal = swap.Journal(aside="before", away=(), incoming=("pilothouse.db",))
    (settings.home / ".restore" / "journal.json").write_text(journal.model_dump_json())
    start(mlflow, settings)
    assert (settings.home / "pilothouse.db").read_text() == "restored"
