"""One service in the foreground, and what every service needs before it starts.

`pilothouse up` starts all of them under a process manager. Where each has a container or a
machine of its own, this starts it alone, in the same environment and seeing the same secrets.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

from core.adapters.ray_token import keep_token
from core.errors import SetupError
from core.services import ports
from core.services.alone import complete_interrupted
from core.services.certificate import load_certificate
from core.services.environment import Launch, service_environment
from core.services.java import find_java
from core.services.layout import Layout
from core.services.programs import Program, ray_node
from core.services.proxy_files import prepare_proxy
from core.settings import CODE_ROOT, Settings, variable_of


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
    prepare_proxy(settings, layout, launch.ports, launch.certificate)


def become_service(
    settings: Settings,
    layout: Layout,
    environment: Mapping[str, str],
    program: Callable[[Launch], Program],
) -> None:
    """Replaces this process by one service; does not return.

    Args:
        settings: those of the installation.
        layout: its places.
        environment: what this process was started with.
        program: which service, one of ``core.services.programs``.

    Raises:
        SetupError: the machine is not fit, or the settings say that this service is elsewhere.
    """
    layout.prepare()
    complete_interrupted(layout)
    launch = make_launch(settings, layout, environment)
    chosen = program(launch)
    elsewhere = {"ray": settings.ray_address, "mlflow": settings.mlflow_address}.get(chosen.name)
    if elsewhere:
        raise SetupError(
            f"The settings say that {chosen.name} is at {elsewhere}.",
            fix=f"Unset PILOTHOUSE_{chosen.name.upper()}_ADDRESS where it is to run.",
        )
    if chosen.name == "ray":
        ports.keep_ports(layout.ports_file, launch.ports)
        prepare_head(launch)
    _become(launch, chosen.argv, environment, chosen.secrets)


def become_ray_node(
    settings: Settings, layout: Layout, environment: Mapping[str, str], *, head: str, address: str
) -> None:
    """Replaces this process by a further node of the cluster; does not return.

    Args:
        settings: those of the installation, with the same home.
        layout: its places.
        environment: what this process was started with.
        head: host and port of the control store; empty for the one that the home tells of.
        address: by which other nodes reach this one; empty for that of the way to the head.

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
    where = head or f"{settings.cluster_host}:{kept.gcs}"
    own = address or address_towards(where)
    launch = replace(launch_at(kept, settings, layout, environment), address=own)
    _become(launch, ray_node(launch, where, own), environment, settings.store_secrets)


def address_towards(head: str) -> str:
    """This machine's address on the way to a host and port; nothing is sent.

    Raises:
        SetupError: there is no such host, or no way to it.
    """
    host, _, port = head.rpartition(":")
    try:
        family, kind, *_, there = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind) as probe:
            probe.connect(there)
            return str(probe.getsockname()[0])
    except OSError as exc:
        raise SetupError(
            f"There is no way to the head at {head} ({exc.strerror}).",
            fix="Check --head, or PILOTHOUSE_CLUSTER_HOST.",
        ) from exc


def _become(
    launch: Launch,
    argv: tuple[str, ...],
    environment: Mapping[str, str],
    secrets: Collection[str] = (),
) -> None:
    needed = {variable_of(name) for name in secrets}
    blank = dict.fromkeys(set(launch.settings.secret_variables()) - needed, "")
    given = {**service_environment(launch, environment), **blank}
    os.chdir(CODE_ROOT)
    os.execvpe(argv[0], argv, given)  # noqa: S606 - no shell
