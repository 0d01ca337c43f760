"""The programs an installation consists of, and how each is started."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.params import load_params
from core.services.environment import Launch
from core.services.health import Probe, mlflow_probe, panel_probe, ray_probe, worker_probe
from core.services.machine import usable_cores
from core.settings import CODE_ROOT, Settings
from core.settings_databases import sqlite_address

#: Rows on their way between Ray and Spark; models and tables here are small.
_OBJECT_STORE_BYTES = 512 * 2**20
_EVERYWHERE = "0.0.0.0"  # noqa: S104 - named, not bound


@dataclass(frozen=True)
class Program:
    """One supervised process.

    ``ready_after_s`` is how long it must live to count as started; ``stop_wait_s`` is the
    time it gets to end by itself. ``secrets`` are the settings whose secret it needs: it sees
    no other. Ray needs the key of the S3 store alone, where there is one, because jobs read and
    write data; whatever runs in it sees that key and nothing else.
    """

    name: str
    argv: tuple[str, ...]
    probe: Probe
    ready_after_s: int = 2
    stop_wait_s: int = 15
    secrets: tuple[str, ...] = ()


#: Decides what runs; tests start less.
ProgramTable = Callable[[Launch], Sequence[Program]]


def default_programs(launch: Launch) -> Sequence[Program]:
    """Ray, MLflow, the worker and the panel. Serving is an application inside Ray.

    A Ray cluster or an MLflow server that is there already is not started.
    """
    settings = launch.settings
    return (
        *(() if settings.ray_address else (ray(launch),)),
        *(() if settings.mlflow_address else (mlflow(launch),)),
        worker(launch),
        panel(launch),
    )


def ray(launch: Launch) -> Program:
    """Ray's head node."""
    settings, ports = launch.settings, launch.ports
    flags = {
        "--port": ports.gcs,
        "--node-manager-port": ports.node_manager,
        "--object-manager-port": ports.object_manager,
        "--ray-client-server-port": ports.ray_client,
        "--metrics-export-port": ports.ray_metrics,
        "--dashboard-agent-listen-port": ports.agent_http,
        "--dashboard-agent-grpc-port": ports.agent_grpc,
        "--runtime-env-agent-port": ports.runtime_env,
        # Any free port: Ray's own range would collide with published ports chosen in it.
        "--min-worker-port": 0,
        "--max-worker-port": 0,
        "--dashboard-host": settings.cluster_host,
        "--dashboard-port": settings.ray_dashboard_port,
        "--num-cpus": settings.ray_cpus or usable_cores(),
        "--object-store-memory": _OBJECT_STORE_BYTES,
        "--temp-dir": launch.layout.ray_temp,
    }
    argv = [*_tool("ray"), "start", "--head", "--block"]
    for flag, value in flags.items():
        argv += [flag, str(value)]
    if not settings.is_one_machine:
        # On the loopback Ray finds its address by itself.
        argv += ["--node-ip-address", settings.cluster_host]
    if not settings.telemetry:
        argv.append("--disable-usage-stats")
    probe = ray_probe(settings, ports)
    return Program(
        "ray",
        tuple(argv),
        probe,
        ready_after_s=5,
        stop_wait_s=30,
        secrets=settings.store_secrets,
    )


def ray_node(launch: Launch, head: str, address: str) -> tuple[str, ...]:
    """Command line of another node of the cluster, in the foreground.

    Args:
        launch: what it starts with.
        head: host and port of the control store.
        address: by which the other nodes reach this one.
    """
    settings = launch.settings
    flags = {
        "--address": head,
        # Any free ports: several nodes may share a machine.
        "--node-manager-port": 0,
        "--object-manager-port": 0,
        "--metrics-export-port": 0,
        "--dashboard-agent-listen-port": 0,
        "--dashboard-agent-grpc-port": 0,
        "--runtime-env-agent-port": 0,
        "--min-worker-port": 0,
        "--max-worker-port": 0,
        "--num-cpus": settings.ray_cpus or usable_cores(),
        "--object-store-memory": _OBJECT_STORE_BYTES,
    }
    argv = [sys.executable, "-m", "core.adapters.ray_start", "start", "--block"]
    for flag, value in flags.items():
        argv += [flag, str(value)]
    return (*argv, "--node-ip-address", address)


def mlflow(launch: Launch) -> Program:
    """MLflow's server: SQLite or the database that was given, artifacts that pass through it.

    Nobody else has to reach the artifacts, so no client of MLflow needs the store's key.
    """
    settings, folder, store = launch.settings, launch.layout.mlflow, launch.settings.store
    own = ("--backend-store-uri", sqlite_address(folder / "mlflow.db"))
    # A password or a key has no place on a command line, which everybody can read.
    hidden = (sys.executable, "-m", "core.services.mlflow_server")
    has_secret = bool(settings.given_mlflow_database or store)
    argv = (
        *(hidden if has_secret else (*_tool("mlflow"), "server")),
        *(() if settings.given_mlflow_database else own),
        "--serve-artifacts",
        "--artifacts-destination",
        store.address_of("artifacts") if store else str(folder / "artifacts"),
        *("--host", settings.cluster_host),
        *("--port", str(settings.mlflow_port)),
        *("--workers", "1"),
    )
    secrets = ("mlflow_database_url", *settings.store_secrets)
    return Program("mlflow", argv, mlflow_probe(settings), secrets=secrets)


def worker(launch: Launch) -> Program:
    """The background worker."""
    argv = (sys.executable, "-m", "core.worker")
    secrets = ("alert_url", "database_url", *launch.settings.store_secrets)
    return Program("worker", argv, worker_probe(launch.layout), secrets=secrets)


def panel(launch: Launch) -> Program:
    """The Streamlit panel behind its door."""
    settings = launch.settings
    argv = (
        *_tool("streamlit"),
        *("run", str(CODE_ROOT / "app" / "server.py")),
        *("--server.address", settings.host),
        *("--server.port", str(settings.panel_port)),
        *(part for name in settings.panel_names for part in ("--server.allowedHosts", name)),
        *("--server.headless", "true"),
        *("--server.fileWatcherType", "none"),
        *("--server.maxUploadSize", str(load_params(settings.params_file).intake.max_file_mb)),
        *("--browser.gatherUsageStats", "true" if settings.telemetry else "false"),
        *(_panel_tls(settings) if settings.tls_cert_file else ()),
    )
    secrets = ("oidc_client_secret", "database_url", *settings.store_secrets)
    return Program("panel", argv, panel_probe(settings), secrets=secrets)


def _panel_tls(settings: Settings) -> tuple[str, ...]:
    certificate = ("--server.sslCertFile", settings.tls_cert_file)
    return (*certificate, "--server.sslKeyFile", settings.tls_key_file)


def _tool(name: str) -> tuple[str, ...]:
    """A program of this virtual environment, whatever the PATH says."""
    return (sys.executable, str(Path(sys.executable).parent / name))
