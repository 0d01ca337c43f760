"""What Ray has to find before it can start HAProxy.

``pilothouse up`` puts it there. A pod of Ray's head, which nothing but Ray runs in, does it first:

    python -m core.services.proxy_files
"""

from __future__ import annotations

import sys

from core.errors import PilothouseError
from core.services import haproxy
from core.services.certificate import Certificate, load_certificate
from core.services.layout import Layout, layout_of
from core.services.ports import InternalPorts
from core.settings import Settings, load_settings

#: Where the block of internal ports begins in a pod, which has all ports to itself.
POD_PORTS = InternalPorts(20000)


def prepare_proxy(
    settings: Settings, layout: Layout, ports: InternalPorts, shown: Certificate | None
) -> None:
    """Writes what Ray starts as its proxy, and puts the certificate where that looks.

    Raises:
        SetupError: there is no HAProxy to start.
    """
    if settings.serving_proxy != "haproxy":
        return
    if shown is not None:
        name = layout.haproxy_certificate.name
        haproxy.offer_certificate(layout.haproxy_launcher, name, shown.file, shown.key_file)
    pem = layout.haproxy_certificate if shown else None
    door = haproxy.Door(settings.host, settings.serving_port, pem)
    haproxy.write_launcher(
        layout.haproxy_launcher,
        door,
        ports.haproxy_metrics,
        ports.haproxy_stats,
        pages=layout.haproxy,
    )


def main() -> int:
    """Makes folders and files for the proxy of a pod; returns the exit code."""
    try:
        settings = load_settings()
        layout = layout_of(settings.home)
        layout.prepare()
        prepare_proxy(settings, layout, POD_PORTS, load_certificate(settings))
    except PilothouseError as exc:
        sys.stderr.write(f"{exc}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
