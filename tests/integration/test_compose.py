"""The Compose file's services as processes: its commands, its environment, its order.

What an engine adds (images, users, cgroups) is left out. PostgreSQL is the tests' own; moto's
server stands in for the S3 store.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

from core.settings import CODE_ROOT
from tests.containers import command_of, compose, dockerfile, filled_in, ours
from tests.installation import Installation, prepare
from tests.postgres import postgres_server
from tests.s3 import KEY_ID, SECRET, S3Server, s3_server
from tests.serving_support import RECORD

pytestmark = [pytest.mark.long, pytest.mark.timeout(1500)]

PASSWORD = "0123456789abcdef"
HEALTHY_TIMEOUT_S = 240.0
STOP_TIMEOUT_S = 60.0
MODELS_TIMEOUT_S = 600.0


class Engine:
    """Starts services in the order in which they wait for each other."""

    def __init__(self, made: Installation, variables: Mapping[str, str], logs: Path) -> None:
        self._made = made
        self._variables = variables
        self._logs = logs
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def environment(self, name: str) -> dict[str, str]:
        """What a container of a service sees, but for where the home and the parameters are."""
        told = ours()[name]["environment"]
        given = {key: filled_in(str(value), self._variables) for key, value in told.items()}
        mine = self._made.environment
        kept = {k: v for k, v in os.environ.items() if not k.startswith("PILOTHOUSE_")}
        places = ("PYTHONPATH", "PATH", "PILOTHOUSE_HOME", "PILOTHOUSE_PARAMS_FILE")
        packages = "PILOTHOUSE_PROBLEM_PACKAGES"
        return {**kept, **{key: mine[key] for key in (*places, packages)}, **given}

    def start(self, name: str) -> None:
        """Starts what a service waits for, then it, and returns once it is healthy."""
        if name in self.running or "build" not in compose()["services"][name]:
            return
        for needed, how in ours()[name].get("depends_on", {}).items():
            ends = how["condition"] == "service_completed_successfully"
            self.run(needed) if ends else self.start(needed)
        self._spawn(name)
        self._wait_until_healthy(name)

    def _spawn(self, name: str) -> None:
        with (self._logs / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(
                self._argv(name),
                env=self.environment(name),
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def run(self, name: str) -> None:
        """Runs a service that ends."""
        done = subprocess.run(
            self._argv(name),
            env=self.environment(name),
            capture_output=True,
            text=True,
            timeout=MODELS_TIMEOUT_S,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def stop(self, name: str) -> None:
        """Asks a service to end, as an engine does, and kills what has not."""
        process = self.running.pop(name)
        family = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_TIMEOUT_S)
        finally:
            # An engine ends what is left in a container.
            for one in psutil.wait_procs(family, timeout=10)[1]:
                one.kill()

    def _argv(self, name: str) -> list[str]:
        program, *words = command_of(ours()[name])
        return [str(Path(sys.executable).with_name(program)), *words]

    def _wait_until_healthy(self, name: str) -> None:
        (check,) = dockerfile()[ours()[name]["build"]["target"]].all("HEALTHCHECK")
        program, *words = json.loads(check[check.index("[") :])
        assert program == "python"
        deadline = time.monotonic() + HEALTHY_TIMEOUT_S
        while True:
            done = subprocess.run(
                [sys.executable, *words],
                cwd=CODE_ROOT,
                env=self.environment(name),
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode == 0:
                return
            log = (self._logs / f"{name}.log").read_text(errors="replace")
            assert time.monotonic() < deadline, done.stderr[-500:] + log[-4000:]
            if self.running[name].poll() is not None:
                # As the file says: restart unless stopped.
                self._spawn(name)
            time.sleep(1)


@contextmanager
def engine(folder: Path) -> Iterator[tuple[Engine, Installation, S3Server]]:
    made = prepare(folder)
    with ExitStack() as stack:
        server = stack.enter_context(postgres_server())
        server.run(f"ALTER ROLE pilothouse PASSWORD '{PASSWORD}'")
        server.password = PASSWORD
        for name in ("pilothouse", "mlflow"):
            server.run(f"CREATE DATABASE {name}")
        ports = ("panel", "serving", "mlflow", "ray_dashboard")
        variables = {
            "POSTGRES_PASSWORD": PASSWORD,
            "POSTGRES_PORT": str(server.port),
            "PILOTHOUSE_RAY_CPUS": "2",
            **{
                f"PILOTHOUSE_{name.upper()}_PORT": str(getattr(made.settings, f"{name}_port"))
                for name in ports
            },
        }
        logs = folder / "logs"
        logs.mkdir()
        store = stack.enter_context(s3_server(logs / "store.log"))
        variables |= {
            "STORE_KEY_ID": KEY_ID,
            "STORE_SECRET": SECRET,
            "STORE_PORT": str(urlsplit(store.endpoint).port),
        }
        started = Engine(made, variables, logs)
        try:
            yield started, made, store
        finally:
            for name in reversed(list(started.running)):
                started.stop(name)


def test_its_services_come_to_the_state_that_up_comes_to(tmp_path: Path) -> None:
    with engine(tmp_path) as (containers, made, store):
        for name in ("panel", "ray-node"):
            containers.start(name)
        assert set(containers.running) == {"mlflow", "ray", "worker", "panel", "ray-node"}
        containers.run("models")

        told = Installation(made.settings, containers.environment("models"))
        states = {one["id"]: one["health"] for one in told.ask("status")}
        assert set(states.values()) == {"healthy"}, states
        answer = httpx.post(
            f"{made.settings.serving_url}/predict/titanic",
            json={"records": [RECORD]},
            trust_env=False,
            timeout=30,
        )
        assert answer.status_code == 200
        assert answer.json()["model_version"] == 1
        # Both databases are PostgreSQL's; DVC keeps files of its own.
        for file in ("pilothouse.db", "mlflow/mlflow.db"):
            assert not (made.settings.home / file).exists()
        # The bucket was made by the file's own command, and holds the artifacts.
        assert not (made.settings.home / "mlflow" / "artifacts").exists()
        kept = store.client().list_objects_v2(Bucket="pilothouse", Prefix="artifacts/")
        assert [one for one in kept["Contents"] if one["Key"].endswith("/model.onnx")]
    for process in psutil.process_iter(["pid"]):
        try:
            assert process.environ().get("PILOTHOUSE_HOME") != str(made.settings.home), process
        except psutil.Error:
            continue
