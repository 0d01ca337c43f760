"""Whether each service can be used, asked of the services themselves."""

from __future__ import annotations

import ssl
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import httpx

from core.adapters.s3 import Bucket
from core.domain_serving import Health, ServiceStatus
from core.errors import PilothouseError
from core.hosts import address_of
from core.services.certificate import own_clients
from core.services.layout import Layout, layout_of
from core.services.ports import InternalPorts, read_ports
from core.settings import Settings

TIMEOUT_S = 3.0
#: The worker beats at least every 5 s.
HEARTBEAT_MAX_AGE_S = 20.0
_UP = "Run `make up`."


@dataclass(frozen=True)
class Finding:
    """What a probe saw; ``detail`` says what is wrong and what to do."""

    health: Health
    detail: str = ""


HEALTHY = Finding(Health.HEALTHY)


class Probe(Protocol):
    """Looks at one service once."""

    @property
    def address(self) -> str:
        """Where people find the service."""
        ...

    def look(self, http: httpx.Client) -> Finding:
        """Returns what there is to see; never raises."""
        ...


@dataclass(frozen=True)
class HttpProbe:
    """Healthy when every one of ``urls`` answers 200."""

    address: str
    urls: tuple[str, ...]

    def look(self, http: httpx.Client) -> Finding:
        """Asks the addresses in order and stops at the first that is not well."""
        for url in self.urls:
            status = _status(http, url)
            if status is None:
                return Finding(Health.DOWN, f"Nothing answers at {self.address}. {_UP}")
            if status >= httpx.codes.INTERNAL_SERVER_ERROR:
                return Finding(Health.STARTING, f"It answers with status {status}.")
            if status != httpx.codes.OK:
                return Finding(
                    Health.DOWN,
                    f"Something else seems to listen at {self.address} (status {status}).",
                )
        return HEALTHY


@dataclass(frozen=True)
class ServingProbe:
    """The served models: alive is not yet ready."""

    address: str

    def look(self, http: httpx.Client) -> Finding:
        """Asks whether a model is loaded, and if not, whether the server is alive."""
        if _status(http, f"{self.address}/readyz") == httpx.codes.OK:
            return HEALTHY
        if _status(http, f"{self.address}/healthz") == httpx.codes.OK:
            return Finding(Health.STARTING, "No model is loaded yet.")
        return Finding(Health.DOWN, f"No model is served at {self.address}. {_UP}")


@dataclass(frozen=True)
class HeartbeatProbe:
    """Healthy while a file is touched."""

    address: str
    file: Path
    max_age_s: float = HEARTBEAT_MAX_AGE_S

    def look(self, http: httpx.Client) -> Finding:
        """Compares the file's time with the clock."""
        try:
            age_s = time.time() - self.file.stat().st_mtime
        except OSError:
            return Finding(Health.DOWN, f"The worker has not started. {_UP}")
        if age_s > self.max_age_s:
            return Finding(Health.DOWN, f"The worker was last seen {age_s:.0f} s ago. {_UP}")
        return HEALTHY


@dataclass(frozen=True)
class StoreProbe:
    """The S3 store: healthy when its bucket can be used."""

    settings: Settings

    @property
    def address(self) -> str:
        """Bucket and folder."""
        return self.settings.store_url

    def look(self, http: httpx.Client) -> Finding:
        """Asks for the bucket, by the store's own client."""
        try:
            store = self.settings.store
            if store is not None:
                Bucket(store).look()
        except PilothouseError as exc:
            return Finding(Health.DOWN, str(exc))
        return HEALTHY


def panel_probe(settings: Settings) -> Probe:
    """The Streamlit panel."""
    return HttpProbe(settings.panel_url, (f"{settings.panel_url}/_stcore/health",))


def mlflow_probe(settings: Settings) -> Probe:
    """The MLflow server."""
    return HttpProbe(settings.mlflow_url, (f"{settings.mlflow_url}/health",))


def ray_probe(settings: Settings, ports: InternalPorts | None) -> Probe:
    """Ray's dashboard, control store and, when its port is known, its node."""
    base = settings.ray_dashboard_url
    # Both answer without Ray's token.
    urls = [f"{base}/api/gcs_healthz", f"{base}/api/authentication_mode"]
    if ports is not None and not settings.ray_address:
        agent = address_of("http", settings.cluster_host, ports.agent_http)
        urls.append(f"{agent}/api/local_raylet_healthz")
    return HttpProbe(base, tuple(urls))


def worker_probe(layout: Layout) -> Probe:
    """The background worker, which has no address but a file it touches."""
    return HeartbeatProbe("", layout.worker_heartbeat)


class HealthService:
    """Looks at every service at once."""

    def __init__(self, settings: Settings, transport: httpx.BaseTransport | None = None) -> None:
        self._settings = settings
        self._http = http_client(transport, own_clients(settings))

    def check(self) -> tuple[ServiceStatus, ...]:
        """The services in the order people read them; takes a few seconds at most."""
        probes = self._probes()
        with ThreadPoolExecutor(len(probes)) as pool:
            findings = list(pool.map(lambda probe: probe[1].look(self._http), probes))
        return tuple(
            ServiceStatus(name, probe.address, finding.health, finding.detail)
            for (name, probe), finding in zip(probes, findings, strict=True)
        )

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def _probes(self) -> Sequence[tuple[str, Probe]]:
        settings = self._settings
        # Read at every check: the ports may have been chosen anew since the last one.
        layout = layout_of(settings.home)
        ports = read_ports(layout.ports_file)
        return (
            ("panel", panel_probe(settings)),
            ("serving", ServingProbe(settings.serving_url)),
            ("mlflow", mlflow_probe(settings)),
            ("ray", ray_probe(settings, ports)),
            ("worker", worker_probe(layout)),
            *((("store", StoreProbe(settings)),) if settings.store_url else ()),
        )


def http_client(
    transport: httpx.BaseTransport | None = None, verify: ssl.SSLContext | bool = True
) -> httpx.Client:
    """A client for short questions to our own services.

    Proxy variables of the environment are for the outside world, not for our services.
    """
    return httpx.Client(timeout=TIMEOUT_S, transport=transport, verify=verify, trust_env=False)


def _status(http: httpx.Client, url: str) -> int | None:
    try:
        return http.get(url).status_code
    except httpx.HTTPError:
        return None
