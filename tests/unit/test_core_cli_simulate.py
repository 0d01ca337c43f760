"""The installation beside the real one in which days pass quickly."""

from __future__ import annotations

from pathlib import Path

from core.access.login import login_of
from core.cli_simulate import PORTS_APART, simulation_settings
from core.settings import Settings


def test_it_is_one_operators_own_whoever_uses_the_real_one(tmp_path: Path) -> None:
    real = Settings(
        home=tmp_path,
        host="0.0.0.0",
        panel_port=9501,
        panel_public_url="https://panel.example.org",
        oidc_metadata_url="https://login.example.org/.well-known/openid-configuration",
        tls_cert_file="cert.pem",
        tls_key_file="key.pem",
        audit_anchor_file="/elsewhere/anchor",
        database_url="postgresql://host/real",
        mlflow_database_url_file="/run/secrets/mlflow",
        store_url="s3://real/data",
        s3_secret_access_key_file="/run/secrets/s3",
    )
    own = simulation_settings(real)
    assert own.home == tmp_path / "simulation"
    assert own.panel_port == 9501 + PORTS_APART
    assert own.is_loopback
    assert login_of(own) is None
    assert (own.tls_cert_file, own.audit_anchor_file) == ("", "")
    assert own.database_address == f"sqlite:///{own.home}/pilothouse.db"
    assert own.given_mlflow_database == ""
    assert own.store is None
