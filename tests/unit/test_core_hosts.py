from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import SetupError
from core.hosts import address_of
from core.settings import Settings, load_settings


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:80"),
        ("0.0.0.0", "http://127.0.0.1:80"),
        ("10.0.0.5", "http://10.0.0.5:80"),
        ("::1", "http://[::1]:80"),
        ("ml.example.org", "http://ml.example.org:80"),
    ],
)
def test_our_own_processes_get_an_address_that_can_be_connected_to(host, url):
    assert address_of("http", host, 80) == url


def test_what_has_no_login_stays_on_the_loopback_whatever_the_host():
    settings = Settings(host="10.0.0.5", tls_cert_file="c.pem", tls_key_file="k.pem")

    assert settings.mlflow_url == "http://127.0.0.1:5000"
    assert settings.ray_dashboard_url == "http://127.0.0.1:8265"
    assert settings.panel_url == "https://10.0.0.5:8501"
    assert settings.serving_url == "https://10.0.0.5:8000"


def test_what_somebody_else_has_started_is_asked_where_it_is():
    settings = Settings(
        host="0.0.0.0",
        mlflow_address="http://mlflow:5000/",
        ray_address="http://head:8265",
        serving_address="http://models:8000",
        ray_auth_token_file="/run/token",
    )

    assert settings.mlflow_url == "http://mlflow:5000"
    assert settings.ray_dashboard_url == "http://head:8265"
    assert settings.serving_url == "http://models:8000"
    assert settings.panel_url == "http://127.0.0.1:8501"
    assert settings.ray_token_file == Path("/run/token")
    assert Settings(ray_auth_token_file="/run/token", ray_token=False).ray_token_file is None


def test_people_are_sent_where_they_can_go(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("core.settings_addresses.node", lambda: "ml")

    assert Settings().panel_link == "http://127.0.0.1:8501"
    assert Settings(host="0.0.0.0").panel_link == "http://ml:8501"
    assert Settings(host="0.0.0.0", panel_public_url="https://p.org/").panel_link == "https://p.org"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HOST", " "),
        ("HOST", "*"),
        ("HOST", "::"),
        ("PANEL_PUBLIC_URL", "panel.example.org"),
        ("PANEL_PUBLIC_URL", "https://"),
        ("SERVING_PUBLIC_URL", "ftp://models.example.org"),
        ("RAY_ADDRESS", "head:8265"),
    ],
)
def test_an_address_that_cannot_be_meant_is_refused(monkeypatch, name, value):
    monkeypatch.setenv(f"PILOTHOUSE_{name}", value)

    with pytest.raises(SetupError, match=f"PILOTHOUSE_{name} is not usable: give") as caught:
        load_settings()

    assert "settings.md" in caught.value.fix


def test_a_cluster_that_is_there_already_serves_beside_its_head():
    settings = Settings(
        ray_address="http://head:8265/", mlflow_address="https://mlflow.example.org"
    )

    assert settings.ray_dashboard_url == "http://head:8265"
    assert settings.serving_url == "http://head:8000"
    assert settings.mlflow_url == "https://mlflow.example.org"
    assert settings.panel_url == "http://127.0.0.1:8501"


def test_other_nodes_find_mlflow_and_ray_where_the_cluster_is():
    settings = Settings(cluster_host="10.0.0.5")

    assert settings.mlflow_url == "http://10.0.0.5:5000"
    assert settings.ray_dashboard_url == "http://10.0.0.5:8265"
    assert not settings.is_one_machine
    assert Settings().is_one_machine


@pytest.mark.parametrize("host", [" ", "0.0.0.0", "::", "*"])
def test_other_nodes_cannot_connect_to_every_address(host: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PILOTHOUSE_CLUSTER_HOST", host)

    with pytest.raises(SetupError, match=r"PILOTHOUSE_CLUSTER_HOST.*other nodes"):
        load_settings()


class TestRaysOwnVariable:
    def test_it_names_the_cluster_where_ours_does_not(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setenv("RAY_ADDRESS", "http://head:8265")
        assert load_settings().ray_address == "http://head:8265"

        monkeypatch.setenv("PILOTHOUSE_RAY_ADDRESS", "")
        assert load_settings().ray_address == ""

    def test_what_is_no_dashboard_is_refused_with_an_example(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setenv("RAY_ADDRESS", "head:6379")

        with pytest.raises(SetupError, match="head:6379") as refused:
            load_settings()
        assert "http://head:8265" in refused.value.fix

    def test_in_a_job_it_is_rays_own(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setenv("RAY_ADDRESS", "10.0.0.5:6379")
        monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}")

        assert load_settings().ray_address == ""
