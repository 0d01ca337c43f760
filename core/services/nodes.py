"""Nodes of a Ray cluster in the foreground: a head, and others that join it.

`pilothouse up` starts a head beside everything else. Where each service has a machine or a
container of its own, these stand for it: the environment is that of ``pilothouse up``, so Spark
and the served models work on every node alike.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace

from core.adapters.ray_token import keep_token
from core.errors import SetupError
from core.services import haproxy, ports
from core.services.certificate import load_certificate
from core.services.environment import Launch, service_environment
from core.services.java import find_java
from core.services.layout import Layout
from core.services.programs import ray, ray_node
from core.settings import CODE_ROOT, Settings


def make_launch(settings: Settings, layout: Layout, environment: Mapping[str, str]) -> Launch:
    """Decides all that services start with: ports that are free, Java, the certificate.

    Raises:
        SetupError: there is no Java, no room for the ports, or the certificate is not usable.
    """
    published = {entry.port for entry in ports.published_ports(settings)}
    chosen = ports.choose_ports(
        ports.read_ports(layout.ports_file),
        seed=int(layout.installation, 16),
        is_free=lambda port: port not in published and ports.is_free(port),
    )
    return launch_at(chosen, settings, layout, environment)


def launch_at(
    chosen: ports.InternalPorts, settings: Settings, layout: Layout, environment: Mapping[str, str]
) -> Launch:
    """The same with ports that were chosen before."""
    return Launch(settings, layout, chosen, find_java(environment), load_certificate(settings))


def prepare_head(launch: Launch) -> None:
    """Writes what Ray's head needs beside it: its token, and its proxy.

    Raises:
        SetupError: the token cannot be kept, or the proxy's parts are missing.
    """
    settings, layout = launch.settings, launch.layout
    if settings.ray_token_file:
        keep_token(settings.ray_token_file)
    if settings.serving_proxy != "haproxy":
        return
    shown = launch.certificate
    if shown is not None:
        haproxy.offer_certificate(layout.haproxy_certificate, shown.file, shown.key_file)
    pem = layout.haproxy_certificate if shown else None
    haproxy.write_launcher(
        layout.haproxy_launcher,
        haproxy.Door(settings.host, settings.serving_port, pem),
        launch.ports.haproxy_metrics,
        launch.ports.haproxy_stats,
        pages=layout.haproxy,
    )


def become_head(settings: Settings, layout: Layout, environment: Mapping[str, str]) -> None:
    """Replaces this process by Ray's head; does not return.

    Raises:
        SetupError: the machine is not fit, or the settings name a head elsewhere.
    """
    if settings.ray_address:
        raise SetupError(
            f"This installation's head is at {settings.ray_address}.",
            fix="Unset PILOTHOUSE_RAY_ADDRESS and RAY_ADDRESS where the head is to run.",
        )
    layout.prepare()
    launch = make_launch(settings.without_secrets(), layout, environment)
    ports.keep_ports(layout.ports_file, launch.ports)
    prepare_head(launch)
    _become(launch, ray(launch).argv, environment)


def join_head(
    settings: Settings, layout: Layout, environment: Mapping[str, str], *, head: str, address: str
) -> None:
    """Replaces this process by a node of the cluster; does not return.

    Args:
        settings: those of the installation, with the same home.
        layout: its places.
        environment: what this process was started with.
        head: host and port of the control store; empty for the one that the home tells of.
        address: by which other nodes reach this one; empty for the loopback.

    Raises:
        SetupError: the machine is not fit, or no head is known.
    """
    layout.prepare()
    kept = ports.read_ports(layout.ports_file)
    if kept is None:
        raise SetupError(
            "The home tells of no head.",
            fix="Start the head first, with the same PILOTHOUSE_HOME.",
        )
    blank = settings.without_secrets()
    launch = replace(launch_at(kept, blank, layout, environment), address=address)
    where = head or f"{settings.cluster_host}:{kept.gcs}"
    _become(launch, ray_node(launch, where, address or settings.cluster_host), environment)


def _become(launch: Launch, argv: tuple[str, ...], environment: Mapping[str, str]) -> None:
    os.chdir(CODE_ROOT)
    os.execvpe(argv[0], argv, service_environment(launch, environment))  # noqa: S606 - no shell
