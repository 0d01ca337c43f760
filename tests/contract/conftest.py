"""The real services behind the ports, each started once for all suites."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from core.adapters.mlflow import connected_client
from core.settings import vendor_privacy
from core.settings_store import S3Store
from tests.ray_head import RayHead, free_ports, ray_head
from tests.s3 import S3Server

START_TIMEOUT_S = 90.0
STOP_TIMEOUT_S = 15.0


@contextmanager
def _mlflow_server(folder: Path, store: S3Store | None = None) -> Iterator[str]:
    """An MLflow server of its own: SQLite, artifacts through the server, one worker."""
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    command = [
        str(Path(sys.executable).with_name("mlflow")),
        "server",
        *("--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}"),
        "--serve-artifacts",
        "--artifacts-destination",
        store.address_of("artifacts") if store else str(folder / "artifacts"),
        *("--host", "127.0.0.1"),
        *("--port", str(port)),
        *("--workers", "1"),
    ]
    switches = vendor_privacy() | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    log = folder / "server.log"
    with log.open("wb") as out:
        server = subprocess.Popen(
            command,
            env={**os.environ, **switches, **(store.variables() if store else {})},
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait_until_up(server, url, log)
        yield url
    finally:
        # The server's own workers are in its process group, which nobody else is in.
        os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def _wait_until_up(server: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        if server.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"MLflow did not start:\n{log.read_text(errors='replace')}")
        try:
            if httpx.get(f"{url}/health", timeout=2, trust_env=False).is_success:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.2)


@pytest.fixture(scope="session")
def mlflow_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with _mlflow_server(tmp_path_factory.mktemp("mlflow")) as url:
        # The first call of a client makes the server read its tables; tests need not pay.
        connected_client(url).search_experiments()
        yield url


@dataclass(frozen=True)
class StoredMlflow:
    """An MLflow server whose artifacts are in a bucket, and what it has logged."""

    url: str
    store: S3Store
    log: Path


@pytest.fixture(scope="session")
def mlflow_on_s3(s3: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoredMlflow]:
    folder, store = tmp_path_factory.mktemp("mlflow-on-s3"), s3.create_bucket()
    with _mlflow_server(folder, store) as url:
        yield StoredMlflow(url, store, folder / "server.log")


@pytest.fixture(scope="session")
def ray() -> Iterator[RayHead]:
    with ray_head() as head:
        yield head


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow's client otherwise tries for minutes to reach a server that is not there."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
