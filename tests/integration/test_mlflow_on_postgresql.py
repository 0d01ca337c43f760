"""MLflow as the installation starts it, with its store on PostgreSQL."""

from __future__ import annotations

import hashlib
import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest
from pydantic import SecretStr

from core.adapters.mlflow import RunTracker, connected_client
from core.adapters.mlflow_registry import PRODUCTION, ModelRegistry
from core.errors import UnavailableError
from core.services.environment import Launch, service_environment
from core.services.java import JavaRuntime
from core.services.layout import Layout, layout_of
from core.services.ports import InternalPorts
from core.services.programs import mlflow
from core.settings import CODE_ROOT, Settings
from tests.postgres import PostgresServer
from tests.ray_head import free_ports
from tests.unit.core_fakes import PROBLEM, facts_of
from tests.unit.tiny_models import tiny_model

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(300),
    # MLflow says these of classes of its own while it imports its model flavours.
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning"),
    pytest.mark.filterwarnings("ignore:Operation with range is deprecated"),
]
START_TIMEOUT_S = 120.0


@dataclass(frozen=True)
class Server:
    """MLflow's server, and where it was told to keep what."""

    settings: Settings
    layout: Layout
    process: psutil.Process
    #: The name of its database.
    database: str

    @property
    def tracker(self) -> RunTracker:
        return RunTracker(connected_client(self.settings.mlflow_url))

    @property
    def registry(self) -> ModelRegistry:
        url = self.settings.mlflow_url
        return ModelRegistry(connected_client(url), url)

    @property
    def log(self) -> str:
        return self.layout.log_of("mlflow").read_text(encoding="utf-8", errors="replace")

    @property
    def lines(self) -> str:
        """Every command line of the server's."""
        ours = [self.process, *self.process.children(recursive=True)]
        return "\n".join(" ".join(one.cmdline()) for one in ours)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow's client otherwise tries for minutes."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")


@pytest.fixture
def server(postgres: PostgresServer, tmp_path: Path) -> Iterator[Server]:
    name = postgres.create().rpartition("/")[2]
    (port,) = free_ports(1)
    settings = Settings(
        home=tmp_path / "home",
        mlflow_port=port,
        mlflow_database_url=SecretStr(postgres.url(name)),
    )
    layout = layout_of(settings.home)
    layout.prepare()
    java = JavaRuntime(Path("/no/java/is/needed"), 17, "none")
    launch = Launch(settings, layout, InternalPorts(21000), java)
    with layout.log_of("mlflow").open("wb") as log:
        started = subprocess.Popen(
            mlflow(launch).argv,
            env=service_environment(launch, os.environ),
            cwd=CODE_ROOT,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    made = Server(settings, layout, psutil.Process(started.pid), name)
    try:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not _answers(settings):
            assert started.poll() is None, made.log
            assert time.monotonic() < deadline, made.log
            time.sleep(0.3)
        yield made
    finally:
        # As the process manager does.
        started.terminate()
        started.wait(30)
        postgres.run(f"DROP DATABASE {name} WITH (FORCE)")


def _answers(settings: Settings) -> bool:
    try:
        return httpx.get(f"{settings.mlflow_url}/health", trust_env=False).is_success
    except httpx.HTTPError:
        return False


def _register(server: Server, folder: Path) -> str:
    """A run with a registered version; its id."""
    run_id = server.tracker.create(PROBLEM.name, "run", {"started_by": "änna 🍑"})
    server.tracker.log(run_id, {"family": "lr"}, {"auc": 0.75})
    model = tiny_model({"weight": 1.0})
    facts = facts_of(run_id, PROBLEM, model_sha256=hashlib.sha256(model).hexdigest())
    spark = folder / f"spark-{run_id}"
    (spark / "metadata").mkdir(parents=True)
    (spark / "metadata" / "part-00000").write_text('{"class": "PipelineModel"}')
    server.registry.register(PROBLEM, model, facts, spark, {}, folder / f"model-{run_id}")
    return run_id


def test_runs_and_versions_are_kept_in_it(
    server: Server, postgres: PostgresServer, tmp_path: Path
) -> None:
    run_id = _register(server, tmp_path)
    server.registry.set_alias(PROBLEM.name, PRODUCTION, 1)

    found = server.registry.get(PROBLEM.name, 1)
    assert (found.run_id, found.aliases, found.metrics) == (run_id, (PRODUCTION,), {"auc": 0.75})
    (run,) = server.tracker.list(PROBLEM.name, 10)
    assert run.id == run_id
    kept = postgres.run("SELECT run_uuid FROM runs", server.database)
    assert kept == [(run_id,)]
    assert postgres.run("SELECT version FROM model_versions", server.database) == [(1,)]
    assert list(server.settings.home.rglob("*.db")) == []

    assert "mlflow" in server.lines
    assert postgres.password not in server.lines + server.log
    assert "postgresql" not in server.lines

    # And after the database was restarted under it.
    postgres.stop()
    with pytest.raises(UnavailableError):
        server.tracker.list(PROBLEM.name, 10)
    postgres.start()
    (run,) = server.tracker.list(PROBLEM.name, 10)
    assert run.id == run_id
    _register(server, tmp_path)
    assert server.registry.get(PROBLEM.name, 2).version == 2
    assert postgres.password not in server.log
