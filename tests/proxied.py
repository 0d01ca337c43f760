"""Ray Serve behind HAProxy in the environment an installation starts it with, nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from core.adapters.serve import ServeClient
from core.deployment.serving import ServingService
from core.params import ServingParams, load_params
from core.scoring.bundle import BundleRef
from core.settings import CODE_ROOT, Settings
from tests.ray_head import RayHead, free_ports
from tests.served_head import served_head
from tests.serving_support import FixedKeys, admission, artifact_server
from tests.steady import processes

DEPLOY_TIMEOUT_S = 90.0

#: Writes a model of a problem into a folder that is offered at an address.
PutBundle = Callable[[Path, str, str], BundleRef]


@dataclass(frozen=True)
class Proxied:
    """A served endpoint, and the processes behind it."""

    service: ServingService
    settings: Settings
    head: RayHead

    @property
    def url(self) -> str:
        """Where HAProxy answers."""
        return self.settings.serving_url

    def call(self, method: str, path: str, **given: object) -> httpx.Response:
        """One request on a connection of its own."""
        with httpx.Client(base_url=self.url, trust_env=False, timeout=60) as client:
            return client.request(method, path, **given)  # type: ignore[arg-type]

    def replicas(self) -> list[psutil.Process]:
        """The processes of the replicas, oldest first."""
        return self.processes("ray::ServeReplica:")

    def processes(self, mark: str) -> list[psutil.Process]:
        """Processes of the head with this text in their command line, oldest first."""
        return sorted(processes(mark), key=lambda process: process.create_time())


def params_of_the_product(**changed: object) -> ServingParams:
    """The section ``serving`` of ``params.yaml``; ``changed`` replaces values."""
    return load_params(CODE_ROOT / "params.yaml").serving.model_copy(update=changed)


@contextmanager
def proxied(
    folder: Path, params: ServingParams, problems: Sequence[str], put_bundle: PutBundle
) -> Iterator[Proxied]:
    """Serves these problems; on the way out everything ends."""
    (port,) = free_ports(1)
    settings = Settings(home=folder / "home", serving_port=port)
    with (
        artifact_server(folder / "artifacts") as artifacts,
        served_head(settings) as head,
    ):
        client = ServeClient(head.dashboard, head.token_file)
        keys = FixedKeys(admission(settings.home))
        service = ServingService(settings, params, client, problems, keys)
        refs = {name: put_bundle(folder / "artifacts", name, artifacts) for name in problems}
        service.deploy(refs)
        try:
            for name, ref in refs.items():
                service.wait_until_serving(name, ref.version, DEPLOY_TIMEOUT_S)
            yield Proxied(service, settings, head)
        finally:
            service.shutdown()
            service.close()
