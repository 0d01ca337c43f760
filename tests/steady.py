"""Ray Serve behind HAProxy as an installation starts it, with a tiny model, for tests of faults."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import psutil

from core.adapters.ray_token import TokenFromFile
from core.adapters.serve import APPLICATIONS, ServeClient
from core.deployment.endpoint import APPLICATION, DEPLOYMENT
from core.deployment.serving import ServingService
from core.params import ServingParams
from core.scoring.bundle import BundleRef
from core.services.layout import Layout, layout_of
from core.settings import Settings
from tests.load import Load, load
from tests.ray_head import RayHead, free_ports
from tests.served_head import served_head
from tests.serving_support import (
    INFERENCE_LOG,
    RECORD,
    SERVING,
    FixedKeys,
    admission,
    artifact_server,
    write_tiny_bundle,
)

DEPLOY_TIMEOUT_S = 90.0
PREDICT = "/predict/titanic"
BODY = {"records": [RECORD]}


@dataclass(frozen=True)
class Steady:
    """Serve that runs with ``replicas`` replicas; versions 1, 2 and so on lie ready."""

    settings: Settings
    layout: Layout
    artifacts: str
    head: RayHead
    service: ServingService
    params: ServingParams

    def serve(self, version: int) -> None:
        """Switches and waits until it is reported complete."""
        self.service.deploy({"titanic": self.refer(version)})
        self.service.wait_until_serving("titanic", version, DEPLOY_TIMEOUT_S)

    def refer(self, version: int) -> BundleRef:
        """A version in the store of artifacts."""
        return BundleRef(problem="titanic", version=version, url=f"{self.artifacts}/{version}")

    def serve_with(self, replicas: int, version: int) -> None:
        """Has so many replicas from now on; returns once they are there."""
        counts = {"min_replicas": replicas, "max_replicas": replicas}
        params = self.params.model_copy(update=counts)
        service = service_of(self.settings, self.head, params)
        replace(self, service=service).serve(version)
        service.close()
        self.wait_for_replicas(replicas)

    def replicas(self) -> list[psutil.Process]:
        """The replicas that run by Ray Serve's word, and really do."""
        response = httpx.get(
            f"{self.head.dashboard}{APPLICATIONS}",
            auth=TokenFromFile(self.head.token_file),
            trust_env=False,
        )
        endpoint = response.json()["applications"][APPLICATION]["deployments"][DEPLOYMENT]
        running = [each["pid"] for each in endpoint["replicas"] if each["state"] == "RUNNING"]
        return [psutil.Process(pid) for pid in running if psutil.pid_exists(pid)]

    def load(self) -> contextlib.AbstractContextManager[Load]:
        """Single records at the usual rate."""
        return load(self.settings.serving_url, PREDICT, BODY)

    def versions_answered(self, times: int) -> set[int]:
        """Which versions answer when asked so often, each time by a new connection."""
        alone = {"Connection": "close"}
        with httpx.Client(
            base_url=self.settings.serving_url, headers=alone, trust_env=False, timeout=30
        ) as client:
            answers = [client.post(PREDICT, json=BODY) for _ in range(times)]
        return {answer.json()["model_version"] for answer in answers}

    def get(self, path: str) -> httpx.Response:
        """An answer of whichever replica."""
        return httpx.get(f"{self.settings.serving_url}{path}", trust_env=False, timeout=30)

    def lost_rows(self) -> tuple[int, str]:
        """Rows of the inference log that the replicas have lost, by ``/metrics``, and why."""
        text = self.get("/metrics").text
        name = "pilothouse_inference_log_rows_lost_total{"
        lost = [line.rpartition(" ")[2] for line in text.splitlines() if line.startswith(name)]
        return int(sum(map(float, lost))), self.get("/readyz").json()["inference_log"]["failure"]

    def wait_for_replicas(self, count: int) -> None:
        """Returns once so many run and Ray Serve has nothing left to do."""
        client = ServeClient(self.head.dashboard, self.head.token_file)
        wait_until(lambda: client.status().settled and len(self.replicas()) == count)
        client.close()


def service_of(settings: Settings, head: RayHead, params: ServingParams) -> ServingService:
    client = ServeClient(head.dashboard, head.token_file)
    return ServingService(
        settings, params, client, ["titanic"], FixedKeys(admission(settings.home))
    )


@contextmanager
def steady(folder: Path, replicas: int = 2, versions: int = 4, **log: Any) -> Iterator[Steady]:
    """Starts all of it and serves version 1. ``log`` changes parameters of the inference log."""
    for version in range(1, versions + 1):
        write_tiny_bundle(folder / "artifacts" / str(version), bias=version - 1.0)
    (port,) = free_ports(1)
    settings = Settings(home=folder / "home", serving_port=port)
    params = SERVING.model_copy(
        update={
            "min_replicas": replicas,
            "max_replicas": replicas,
            "max_body_mb": 4,
            "inference_log": INFERENCE_LOG.model_copy(update=log),
        }
    )
    with (
        artifact_server(folder / "artifacts") as artifacts,
        served_head(settings) as head,
    ):
        service = service_of(settings, head, params)
        made = Steady(settings, layout_of(settings.home), artifacts, head, service, params)
        made.serve(1)
        yield made
        service.shutdown()
        service.close()


def wait_until(holds: Callable[[], bool], timeout_s: float = DEPLOY_TIMEOUT_S) -> None:
    """Returns once something holds.

    Raises:
        AssertionError: it does not in time.
    """
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, "it has not come about"
        time.sleep(0.05)


def processes(mark: str) -> list[psutil.Process]:
    """Processes below this one whose command line contains ``mark``."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if mark in " ".join(process.cmdline()):
                found.append(process)
    return found


def haproxies() -> list[psutil.Process]:
    """Its HAProxy, also one that is on its way out."""
    return [process for process in processes("haproxy.cfg") if process.name() == "haproxy"]
