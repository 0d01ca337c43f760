"""Ports: the four published ones are settings, all others are chosen free and kept."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from core.errors import PortTakenError, SetupError
from core.hosts import LOOPBACK
from core.settings import Settings

#: Below the range from which Linux serves outgoing connections, so that no connection of
#: anybody takes a port of ours while the services are down.
_LOWEST, _HIGHEST = 20000, 32000
_STEP = 300
_SINGLE = 16
#: Ray keeps a replica's port back for minutes after the replica is gone.
_REPLICA_HTTP = 200
_REPLICA_GRPC = 60
_BLOCK = _SINGLE + _REPLICA_HTTP + _REPLICA_GRPC


@dataclass(frozen=True)
class InternalPorts:
    """Ports nobody outside needs to know, as one block that starts at ``first``."""

    first: int

    @property
    def gcs(self) -> int:
        """Ray's control store; ``ray.init`` connects here."""
        return self.first

    @property
    def node_manager(self) -> int:
        """Ray's node manager."""
        return self.first + 1

    @property
    def object_manager(self) -> int:
        """Ray's object manager."""
        return self.first + 2

    @property
    def ray_client(self) -> int:
        """Ray's client server."""
        return self.first + 3

    @property
    def ray_metrics(self) -> int:
        """Ray's metrics."""
        return self.first + 4

    @property
    def agent_http(self) -> int:
        """HTTP of Ray's agent, which knows whether the node is healthy."""
        return self.first + 5

    @property
    def agent_grpc(self) -> int:
        """Ray's agent over gRPC."""
        return self.first + 6

    @property
    def runtime_env(self) -> int:
        """Ray's runtime environment agent."""
        return self.first + 7

    @property
    def haproxy_metrics(self) -> int:
        """The proxy's metrics."""
        return self.first + 8

    @property
    def haproxy_stats(self) -> int:
        """The proxy's statistics."""
        return self.first + 9

    @property
    def fallback_http(self) -> int:
        """HTTP of Ray Serve's fallback proxy."""
        return self.first + 10

    @property
    def fallback_grpc(self) -> int:
        """Ray Serve's fallback proxy over gRPC."""
        return self.first + 11

    @property
    def autoscaler_metrics(self) -> int:
        """Metrics of Ray's autoscaler."""
        return self.first + 12

    @property
    def dashboard_metrics(self) -> int:
        """Metrics of Ray's dashboard."""
        return self.first + 13

    @property
    def replica_http(self) -> tuple[int, int]:
        """First and last HTTP port of replicas."""
        low = self.first + _SINGLE
        return low, low + _REPLICA_HTTP - 1

    @property
    def replica_grpc(self) -> tuple[int, int]:
        """First and last gRPC port of replicas."""
        low = self.first + _SINGLE + _REPLICA_HTTP
        return low, low + _REPLICA_GRPC - 1


@dataclass(frozen=True)
class PublishedPort:
    """A port that users know, where it is bound, and the setting that moves it."""

    service: str
    port: int
    setting: str
    host: str = LOOPBACK


def published_ports(settings: Settings) -> tuple[PublishedPort, ...]:
    """The addresses of an installation; MLflow's and Ray's stay within the cluster.

    What runs elsewhere takes no port here.
    """
    host, inside = settings.host, settings.cluster_host
    found = [PublishedPort("panel", settings.panel_port, "PILOTHOUSE_PANEL_PORT", host)]
    if not settings.ray_address:
        # Ray Serve's proxy is on the head's machine.
        found.append(
            PublishedPort("serving", settings.serving_port, "PILOTHOUSE_SERVING_PORT", host)
        )
    if not settings.mlflow_address:
        found.append(
            PublishedPort("mlflow", settings.mlflow_port, "PILOTHOUSE_MLFLOW_PORT", inside)
        )
    if not settings.ray_address:
        dashboard = settings.ray_dashboard_port
        found.append(PublishedPort("ray", dashboard, "PILOTHOUSE_RAY_DASHBOARD_PORT", inside))
    return tuple(found)


def read_ports(file: Path) -> InternalPorts | None:
    """The ports this installation keeps; ``None`` when it never chose any.

    A file that cannot be read counts as none: ports can be chosen again.
    """
    try:
        return InternalPorts(int(json.loads(file.read_text(encoding="utf-8"))["first"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def keep_ports(file: Path, ports: InternalPorts) -> None:
    """Writes the ports down, with the one address that others ask for in words."""
    document = {"first": ports.first, "ray_gcs": ports.gcs, "ray_client": ports.ray_client}
    file.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def choose_ports(
    kept: InternalPorts | None, seed: int, is_free: Callable[[int], bool]
) -> InternalPorts:
    """Keeps the block that was kept while it is free, and finds another otherwise.

    Args:
        kept: the block of the last start.
        seed: where to begin the search; installations differ, so they rarely meet.
        is_free: whether nobody listens on a port.

    Raises:
        SetupError: no block is free.
    """
    blocks = range(_LOWEST, _HIGHEST - _BLOCK, _STEP)
    turn = seed % len(blocks)
    firsts = [*([kept.first] if kept else []), *blocks[turn:], *blocks[:turn]]
    for first in firsts:
        if all(is_free(port) for port in range(first, first + _BLOCK)):
            return InternalPorts(first)
    raise SetupError(
        f"No {_BLOCK} ports in a row are free between {_LOWEST} and {_HIGHEST}.",
        fix="Stop programs that listen there.",
    )


def is_free(port: int, host: str = "") -> bool:
    """Whether a program could listen on a port now; an empty host means every address."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As servers do: a connection that lingers after its server does not hold the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


@dataclass(frozen=True)
class Holder:
    """The process that listens on a port."""

    pid: int
    name: str

    def __str__(self) -> str:
        return f"{self.name} (pid {self.pid})"


def holder_of(port: int) -> Holder | None:
    """Who listens on a port; ``None`` when nobody does or it cannot be seen."""
    try:
        for connection in psutil.net_connections(kind="tcp"):
            listens = connection.status == psutil.CONN_LISTEN
            if listens and connection.pid and getattr(connection.laddr, "port", 0) == port:
                return Holder(connection.pid, psutil.Process(connection.pid).name())
    except psutil.Error:
        return None
    return None


def require_free(
    settings: Settings,
    is_free: Callable[[int, str], bool] = is_free,
    holder_of: Callable[[int], Holder | None] = holder_of,
) -> None:
    """Checks that every published port is ours to take.

    Raises:
        SetupError: two services shall have the same port, or the host is another machine's.
        PortTakenError: another program listens on one.
    """
    # Any free port will do: what is asked is whether the address is ours.
    if not is_free(0, settings.host):
        raise SetupError(
            f"{settings.host} is no address of this machine.",
            fix="Set PILOTHOUSE_HOST to one that is, or to 0.0.0.0 for all of them.",
        )
    seen: dict[int, PublishedPort] = {}
    for published in published_ports(settings):
        other = seen.setdefault(published.port, published)
        if other is not published:
            raise SetupError(
                f"Port {published.port} is set for both {other.service} and {published.service}.",
                fix=f"Change {other.setting} or {published.setting}.",
            )
        if not is_free(published.port, published.host):
            holder = holder_of(published.port) or "another program"
            raise PortTakenError(
                f"Port {published.port}, meant for {published.service}, is taken by {holder}.",
                fix=f"Stop that program, or set {published.setting} to a free port.",
            )
