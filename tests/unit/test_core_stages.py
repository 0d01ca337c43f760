"""A stage of `dvc repro` where no cluster runs."""

from __future__ import annotations

import subprocess
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from core.errors import UnavailableError
from core.training import stages


class Nobody:
    """A cluster that does not run."""

    def nodes(self) -> None:
        raise UnavailableError("Ray does not answer.")


def test_a_private_cluster_gets_the_key_of_the_store_and_no_other_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = {"store_url": "s3://bucket", "s3_access_key_id": "K3y"}
    secrets = {"s3_secret_access_key": "S3cret", "alert_url": "json://Pas5word@chat"}
    for name, value in {**store, **secrets, "home": str(tmp_path)}.items():
        monkeypatch.setenv(f"PILOTHOUSE_{name.upper()}", value)
    started: list[dict[str, str]] = []
    really = subprocess.run

    def run(command: list[str], **given: Any) -> CompletedProcess[Any]:
        if "core.training.stages" not in command:  # it looks for Java
            return really(command, **given)
        started.append(given["env"])
        return CompletedProcess(command, 0)

    monkeypatch.setattr(stages, "connect_cluster", lambda settings: Nobody())
    monkeypatch.setattr("core.training.stages.subprocess.run", run)
    monkeypatch.setattr("sys.argv", ["stages", "train", "titanic"])
    assert stages.main() == 0
    (environment,) = started
    assert environment["PILOTHOUSE_S3_ACCESS_KEY_ID"] == "K3y"
    assert environment["PILOTHOUSE_S3_SECRET_ACCESS_KEY"] == "S3cret"
    assert "Pas5word" not in str(environment)
