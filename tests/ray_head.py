"""A private Ray head on free ports of the loopback, ended by its process group."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from core.adapters.ray_token import TokenFromFile, keep_token
from core.settings_apart import PUBLISHED_PORTS

START_TIMEOUT_S = 90.0
STOP_TIMEOUT_S = 20.0


@dataclass(frozen=True)
class RayHead:
    """Where the head answers, and the file of the token it asks for."""

    dashboard: str
    token_file: Path
    #: Where Prometheus would read Ray's own metrics.
    metrics: str


def free_ports(count: int) -> list[int]:
    """Ports that were free a moment ago, all different."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def free_published_ports() -> dict[str, Any]:
    """Settings of the addresses at which an installation answers, on free ports."""
    return dict(zip(PUBLISHED_PORTS, free_ports(len(PUBLISHED_PORTS)), strict=True))


@contextmanager
def ray_head(cpus: int = 2, environment: Mapping[str, str] | None = None) -> Iterator[RayHead]:
    """Starts a head of its own, with a token of its own.

    ``environment`` is what Ray starts from; this process's where none is given. Ray's sockets
    have paths of at most 107 characters, so its folder is short.
    """
    folder = tempfile.mkdtemp(prefix="ph-")
    command, dashboard, metrics = _command(folder, cpus)
    log_file = Path(folder) / "head.log"
    head_of = RayHead(dashboard, Path(folder) / "token", metrics)
    keep_token(head_of.token_file)
    own = {
        "RAY_worker_niceness": "0",
        # Without it Ray takes 127.0.0.1 for the machine's outer address and binds that.
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(head_of.token_file),
    }
    with log_file.open("wb") as log:
        head = subprocess.Popen(
            command,
            env={**(os.environ if environment is None else environment), **own},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait_until_up(head, head_of, log_file)
        yield head_of
    finally:
        _stop(head)
        shutil.rmtree(folder, ignore_errors=True)


def _command(folder: str, cpus: int) -> tuple[list[str], str, str]:
    names = (
        "port",
        "dashboard-port",
        "node-manager-port",
        "object-manager-port",
        "metrics-export-port",
        "dashboard-agent-listen-port",
        "dashboard-agent-grpc-port",
        "runtime-env-agent-port",
        "ray-client-server-port",
    )
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    command = [
        str(Path(sys.executable).with_name("ray")),
        "start",
        "--head",
        "--block",
        "--disable-usage-stats",
        "--node-ip-address=127.0.0.1",
        "--dashboard-host=127.0.0.1",
        f"--temp-dir={folder}/r",
        f"--num-cpus={cpus}",
        "--object-store-memory=100000000",
        *(f"--{name}={port}" for name, port in ports.items()),
    ]
    dashboard, metrics = (ports[f"{name}-port"] for name in ("dashboard", "metrics-export"))
    return command, f"http://127.0.0.1:{dashboard}", f"http://127.0.0.1:{metrics}/metrics"


def _wait_until_up(head: subprocess.Popen[bytes], address: RayHead, log_file: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        if head.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"Ray did not start:\n{log_file.read_text(errors='replace')}")
        try:
            if _answers(address):
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.2)


def _answers(address: RayHead) -> bool:
    url = f"{address.dashboard}/api/version"
    token = TokenFromFile(address.token_file)
    return httpx.get(url, auth=token, timeout=2, trust_env=False).is_success


def _stop(head: subprocess.Popen[bytes]) -> None:
    """Ends the head and whatever it started; workers lead process groups of their own."""
    try:
        family = psutil.Process(head.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        family = []
    head.send_signal(signal.SIGTERM)
    try:
        head.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        head.kill()
        head.wait()
    _, alive = psutil.wait_procs(family, timeout=STOP_TIMEOUT_S)
    for process in alive:
        process.kill()
    psutil.wait_procs(alive, timeout=STOP_TIMEOUT_S)
