"""The environment every service starts with: Java for Spark, Ray's switches, our settings."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from core.services.certificate import Certificate
from core.services.java import JavaRuntime
from core.services.layout import TAG, Layout
from core.services.ports import InternalPorts
from core.settings import CODE_ROOT, Settings, vendor_privacy

#: What Spark 3.5 and RayDP reach into on Java 17. Without it a fit passes, but handing
#: data between Ray and Spark kills the executor.
_OPENED = (
    "java.lang",
    "java.lang.invoke",
    "java.lang.reflect",
    "java.io",
    "java.net",
    "java.nio",
    "java.math",
    "java.text",
    "java.util",
    "java.util.concurrent",
    "java.util.concurrent.atomic",
    "java.time",
    "sun.nio.ch",
    "sun.nio.cs",
    "sun.security.action",
    "sun.util.calendar",
)
#: Left behind by other work in the user's shell, these would redirect our services.
_DROPPED_PREFIXES = ("RAY_", "SPARK_", "PYSPARK_", "SUPERVISOR_", "PILOTHOUSE_")
_DROPPED = frozenset(
    {
        "PYTHONHOME",
        "MLFLOW_TRACKING_URI",
        "MLFLOW_REGISTRY_URI",
        "MLFLOW_BACKEND_STORE_URI",
        "MLFLOW_S3_ENDPOINT_URL",
        "MLFLOW_S3_IGNORE_TLS",
        "MLFLOW_S3_UPLOAD_EXTRA_ARGS",
        "HADOOP_CONF_DIR",
    }
)


@dataclass(frozen=True)
class Launch:
    """All that is decided before services start."""

    settings: Settings
    layout: Layout
    ports: InternalPorts
    java: JavaRuntime
    #: By which the panel and the served models speak TLS; ``None`` means plain HTTP.
    certificate: Certificate | None = None
    #: By which other nodes reach this machine, where that is not the head's.
    address: str = ""


def declared_environment(launch: Launch) -> dict[str, str]:
    """The variables we set; a change of any of them needs a restart to be seen."""
    settings = launch.settings
    return {
        TAG: launch.layout.installation,
        "JAVA_HOME": str(launch.java.home),
        "JDK_JAVA_OPTIONS": " ".join(
            f"--add-opens=java.base/{name}=ALL-UNNAMED" for name in _OPENED
        ),
        "PYSPARK_PYTHON": sys.executable,
        "PYSPARK_DRIVER_PYTHON": sys.executable,
        # A job's log is watched while it runs.
        "PYTHONUNBUFFERED": "1",
        # All of them, also those left at their default, so that every process agrees.
        **settings.variables(),
        **({} if settings.telemetry else vendor_privacy()),
        **_ray_variables(launch),
        **_serve_variables(launch),
        # Three more processes for evaluations in the background that we do not use.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }


def service_environment(launch: Launch, inherited: Mapping[str, str]) -> dict[str, str]:
    """What the services see: the user's environment under the variables we set."""
    kept = {
        key: value
        for key, value in inherited.items()
        if key not in _DROPPED and not key.startswith(_DROPPED_PREFIXES)
    }
    binaries = (str(launch.java.home / "bin"), str(Path(sys.executable).parent))
    return {
        **kept,
        **declared_environment(launch),
        "PATH": ":".join([*binaries, kept.get("PATH", "/usr/bin:/bin")]),
        "PYTHONPATH": ":".join(
            [str(CODE_ROOT), *([kept["PYTHONPATH"]] if kept.get("PYTHONPATH") else [])]
        ),
    }


def _ray_variables(launch: Launch) -> dict[str, str]:
    settings = launch.settings
    # A further node joins in no other way; its address is told to it.
    is_alone = settings.is_one_machine and not launch.address
    variables = {
        # Otherwise Ray runs its workers, and with them the Spark driver, at nice 15.
        "RAY_worker_niceness": "0",
        # Said out loud because Ray turns it on by itself when it finds an old token.
        "RAY_AUTH_MODE": "disabled",
        # Fixed numbers by default, over which two installations would stumble.
        "AUTOSCALER_METRIC_PORT": str(launch.ports.autoscaler_metrics),
        "DASHBOARD_METRIC_PORT": str(launch.ports.dashboard_metrics),
        # With "clusters" off, which is what this means on every system, Ray's node has the
        # loopback address and each of its ports binds there.
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0" if is_alone else "1",
        # Spark prefers any other address when the host's name means loopback.
        "SPARK_LOCAL_IP": launch.address or settings.cluster_host,
    }
    token = settings.ray_token_file
    if token is not None:
        variables |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}
    return variables


def _serve_variables(launch: Launch) -> dict[str, str]:
    """How Ray Serve answers, and where its proxy keeps what it needs."""
    variables = {
        # Ray replaces a proxy that has failed three of these in a row.
        "RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S": "0.5",
        "RAY_SERVE_PROXY_HEALTH_CHECK_TIMEOUT_S": "3",
    }
    if launch.settings.serving_proxy == "haproxy":
        variables |= _haproxy_variables(launch)
    return variables


def _haproxy_variables(launch: Launch) -> dict[str, str]:
    ports, folder = launch.ports, launch.layout.haproxy
    return {
        "RAY_SERVE_ENABLE_HA_PROXY": "1",
        "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
        "RAY_SERVE_HAPROXY_NBTHREAD": "1",
        # A replica that dies with a request in hand: another replica takes it.
        "RAY_SERVE_HAPROXY_RETRY_ON": "conn-failure empty-response response-timeout",
        "RAY_SERVE_HAPROXY_RETRIES": "3",
        "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "3",
        # Fixed places under /tmp by default: two installations would share one proxy.
        "RAY_SERVE_HAPROXY_BINARY_PATH": str(launch.layout.haproxy_launcher),
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(folder / "haproxy.cfg"),
        "RAY_SERVE_HAPROXY_SOCKET_PATH": str(folder / "admin.sock"),
        "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": str(folder / "metrics.sock"),
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(folder),
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(folder / "server-state"),
        "RAY_SERVE_HAPROXY_METRICS_PORT": str(ports.haproxy_metrics),
        "RAY_SERVE_HAPROXY_STATS_PORT": str(ports.haproxy_stats),
        "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": str(ports.fallback_http),
        "RAY_SERVE_FALLBACK_PROXY_GRPC_PORT": str(ports.fallback_grpc),
        "RAY_SERVE_DIRECT_INGRESS_MIN_HTTP_PORT": str(ports.replica_http[0]),
        "RAY_SERVE_DIRECT_INGRESS_MAX_HTTP_PORT": str(ports.replica_http[1]),
        "RAY_SERVE_DIRECT_INGRESS_MIN_GRPC_PORT": str(ports.replica_grpc[0]),
        "RAY_SERVE_DIRECT_INGRESS_MAX_GRPC_PORT": str(ports.replica_grpc[1]),
    }
