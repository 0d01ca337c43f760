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
        remote_mlflow_url="http://mlflow:5000/",
        remote_ray_url="http://head:8265",
        remote_serving_url="http://models:8000",
        ray_token_path="/run/token",
    )

    assert settings.mlflow_url == "http://mlflow:5000"
    assert settings.ray_dashboard_url == "http://head:8265"
    assert settings.serving_url == "http://models:8000"
    assert settings.panel_url == "http://127.0.0.1:8501"
    assert settings.ray_token_file == Path("/run/token")
    assert Settings(ray_token_path="/run/token", ray_token=False).ray_token_file is None


def test_people_are_sent_where_they_can_go(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("core.settings_addresses.node", lambda: "ml")

    assert Settings().panel_link == "http://127.0.0.1:8501"
    assert Settings(host="0.0.0.0").panel_link == "http://ml:8501"
    assert Settings(host="0.0.0.0", panel_public_url="https://p.org/").panel_link == "https://p.org"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HOST", ""),
        ("HOST", "*"),
        ("HOST", "::"),
        ("PANEL_PUBLIC_URL", "panel.example.org"),
        ("PANEL_PUBLIC_URL", "https://"),
        ("SERVING_PUBLIC_URL", "ftp://models.example.org"),
        ("REMOTE_RAY_URL", "head:8265"),
    ],
)
def test_an_address_that_cannot_be_meant_is_refused(monkeypatch, name, value):
    monkeypatch.setenv(f"PILOTHOUSE_{name}", value)

    with pytest.raises(SetupError, match=f"PILOTHOUSE_{name} is not usable: give") as caught:
        load_settings()

    assert "settings.md" in caught.value.fix
