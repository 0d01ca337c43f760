"""An installation beside another one, which it is not to touch."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from benchmarks.machine import prepare_launch
from core.access.login import login_of
from core.settings import Settings, variable_of
from core.settings_apart import PUBLISHED_PORTS, ports_above, settings_apart

#: What a team sets for its installation.
GIVEN = {
    "params_file": "/elsewhere/mine.yaml",
    "host": "0.0.0.0",
    "panel_public_url": "https://panel.example.org",
    "oidc_metadata_url": "https://login.example.org/.well-known/openid-configuration",
    "tls_cert_file": "cert.pem",
    "tls_key_file": "key.pem",
    "audit_anchor_file": "/elsewhere/anchor",
    "database_url": "postgresql://host/real",
    "mlflow_database_url_file": "/run/secrets/mlflow",
    "mlflow_address": "http://mlflow.example.org",
    "ray_address": "http://head.example.org:8265",
    "store_url": "s3://real/folder",
    "s3_secret_access_key_file": "/run/secrets/s3",
    "alert_url": "json://chat.example.org",
    "token": "phu_real",
    "require_keys": "yes",
}
MACHINE = {"serving_proxy": "python", "ray_cpus": 4, "start_timeout_s": 500.0}


def set_for_a_team(monkeypatch: pytest.MonkeyPatch, **also: object) -> None:
    for name, value in {**GIVEN, **also}.items():
        monkeypatch.setenv(variable_of(name), str(value))


def test_nothing_of_the_installation_beside_it_gets_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_for_a_team(monkeypatch, **MACHINE)
    real = Settings(home=tmp_path)
    assert real.given_token == "phu_real"
    own = settings_apart(real, tmp_path / "own", operator="somebody")
    assert (own.home, own.operator) == (tmp_path / "own", "somebody")
    assert own.is_loopback
    assert login_of(own) is None
    assert own.database_address == f"sqlite:///{own.home}/pilothouse.db"
    assert own.store is None
    assert (own.given_mlflow_database, own.given_token, own.alert_urls) == ("", "", ())
    changed = {
        name
        for name, field in Settings.model_fields.items()
        if getattr(own, name) != field.get_default(call_default_factory=True)
    }
    assert changed == {"home", "operator", *MACHINE}
    assert {name: getattr(own, name) for name in MACHINE} == MACHINE


def test_it_may_be_reached_beside_the_other() -> None:
    real = Settings(panel_port=9501)
    above = ports_above(real, 1000)
    assert tuple(above) == PUBLISHED_PORTS
    assert above["panel_port"] == 10501


def test_what_is_measured_stays_apart_from_a_teams_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_for_a_team(monkeypatch)
    own = prepare_launch(tmp_path).settings
    assert own.database_url == SecretStr("")
    assert (own.store, own.mlflow_address, own.ray_address) == (None, "", "")
