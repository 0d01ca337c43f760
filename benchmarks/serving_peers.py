"""Starts the peers of an installation beside it, on the same model."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import mlflow.artifacts
from mlflow import MlflowClient

from core.adapters.mlflow_registry import PRODUCTION
from core.hosts import LOOPBACK
from core.services.java import find_java
from core.settings import inherited_environment
from tests.installation import Installation
from tests.ray_head import free_ports

START_TIMEOUT_S = 180
STOP_TIMEOUT_S = 20
_POLL_S = 0.5


@dataclass(frozen=True)
class Way:
    """One server: where it takes a prediction, and the field that its requests put records in."""

    name: str
    url: str
    field: str = "records"

    def body(self, records: Sequence[Mapping[str, object]]) -> dict[str, object]:
        """A request's body."""
        return {self.field: list(records)}


def one_replica_of_one_model(params: dict[str, Any]) -> None:
    """One process beside one process: a second replica would double what the peers cannot."""
    params["training"]["search"] |= {"families": ["gbt"], "trials": 2}
    params["serving"] |= {"min_replicas": 1, "max_replicas": 1}


@contextmanager
def peers(made: Installation, folder: Path) -> Iterator[tuple[Way, ...]]:
    """The services that others would write around the version in Production; (a) comes first."""
    settings = made.settings
    client = MlflowClient(settings.mlflow_url)
    version = client.get_model_version_by_alias("titanic", PRODUCTION)
    files = Path(
        mlflow.artifacts.download_artifacts(
            artifact_uri=version.source,
            dst_path=str(folder / "version"),
            tracking_uri=settings.mlflow_url,
        )
    )
    by_hand, pyfunc, mlflow_port = free_ports(3)
    module = (sys.executable, "-P", "-m")
    served = ("models", "serve", "--model-uri", str(files), "--env-manager", "local")
    commands = (
        (*module, "benchmarks.serving_fastapi", str(by_hand), str(files / "model.onnx")),
        (*module, "benchmarks.serving_pyfunc", str(pyfunc), str(files / "spark")),
        (*module, "mlflow", *served, "--host", LOOPBACK, "--port", str(mlflow_port)),
    )
    ways = (
        Way("(a) FastAPI, pydantic, onnxruntime", f"http://{LOOPBACK}:{by_hand}/predict"),
        Way("(b) FastAPI around the Spark model", f"http://{LOOPBACK}:{pyfunc}/predict"),
        Way(
            "(c) `mlflow models serve`",
            f"http://{LOOPBACK}:{mlflow_port}/invocations",
            "dataframe_records",
        ),
    )
    with _processes(commands, _with_java(made.environment), folder):
        yield ways


def _with_java(environment: Mapping[str, str]) -> dict[str, str]:
    home = find_java(inherited_environment()).home
    path = f"{home / 'bin'}{os.pathsep}{environment['PATH']}"
    return {**environment, "JAVA_HOME": str(home), "PATH": path}


@contextmanager
def _processes(
    commands: Sequence[Sequence[str]], environment: Mapping[str, str], folder: Path
) -> Iterator[None]:
    with ExitStack() as held:
        log = held.enter_context((folder / "peers.log").open("ab"))
        for command in commands:
            process = subprocess.Popen(
                command,
                env=dict(environment),
                cwd=folder,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            held.callback(_end, process)
        yield


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends a process with its children, each of which is in its session."""
    os.killpg(process.pid, 15)
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        process.wait()


def first_answer(way: Way, record: Mapping[str, object], log: Path) -> dict[str, object]:
    """What a server answers to one record, once it answers.

    Raises:
        RuntimeError: it does not in time; the end of the peers' log comes with it.
    """
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            response = httpx.post(way.url, json=way.body([record]), trust_env=False, timeout=30)
            if response.is_success:
                answer: dict[str, object] = response.json()["predictions"][0]
                return answer
            said = response.text
        except httpx.HTTPError as exc:
            said = repr(exc)
        if time.monotonic() > deadline:
            told = log.read_text(errors="replace")[-2000:] if log.exists() else ""
            raise RuntimeError(f"{way.name} does not answer: {said}\n{told}")
        time.sleep(_POLL_S)
