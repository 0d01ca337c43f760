"""MLflow for work that may run where no installation is up: the running server, or one of ours."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager

import httpx

from core.errors import UnavailableError
from core.services.environment import Launch, service_environment
from core.services.foreground import make_launch
from core.services.layout import layout_of
from core.services.programs import mlflow
from core.settings import CODE_ROOT, Settings, inherited_environment

POLL_S = 1.0
PROBE_TIMEOUT_S = 2.0


def launch_of(settings: Settings, *, keep: Collection[str] = ()) -> Launch:
    """What services of this installation would start with, without starting them.

    Nothing that runs here tells anybody anything: it knows no secret but those in ``keep``.
    """
    layout = layout_of(settings.home)
    layout.prepare()
    return make_launch(settings.without_secrets(keep=keep), layout, inherited_environment())


@contextmanager
def tracking_server(settings: Settings) -> Iterator[None]:
    """The running MLflow server, or one on the installation's store for the time.

    Raises:
        UnavailableError: it does not start.
    """
    # A server elsewhere is not ours to start.
    if settings.mlflow_address or _answers(settings):
        yield
        return
    launch = launch_of(settings, keep=("mlflow_database_url", *settings.store_secrets))
    server = _start_server(launch)
    try:
        deadline = time.monotonic() + settings.start_timeout_s
        while not _answers(settings):
            if server.poll() is not None or time.monotonic() > deadline:
                raise UnavailableError(
                    "MLflow does not start.", fix=f"See {launch.layout.log_of('mlflow')}."
                )
            time.sleep(POLL_S)
        yield
    finally:
        server.terminate()
        server.wait()


def _start_server(launch: Launch) -> subprocess.Popen[bytes]:
    with launch.layout.log_of("mlflow").open("ab") as log:
        return subprocess.Popen(
            mlflow(launch).argv,
            env=service_environment(launch, inherited_environment()),
            cwd=CODE_ROOT,
            stdout=log,
            stderr=subprocess.STDOUT,
        )


def _answers(settings: Settings) -> bool:
    try:
        url = f"{settings.mlflow_url}/health"
        return httpx.get(url, timeout=PROBE_TIMEOUT_S, trust_env=False).is_success
    except httpx.HTTPError:
        return False
