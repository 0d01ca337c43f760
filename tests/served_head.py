"""A Ray head that serves as an installation does: behind HAProxy, straight to the replicas."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.services.environment import Launch, service_environment
from core.services.java import JavaRuntime
from core.services.layout import layout_of
from core.services.ports import choose_ports, is_free
from core.services.proxy_files import prepare_proxy
from core.settings import Settings
from tests.ray_head import RayHead, ray_head


@contextmanager
def served_head(settings: Settings) -> Iterator[RayHead]:
    """Starts a head with what ``pilothouse up`` gives Ray; served models answer where set.

    Java is left out: nothing here trains.
    """
    layout = layout_of(settings.home)
    layout.prepare()
    seed = int(layout.installation, 16)
    ports = choose_ports(None, seed, lambda port: port != settings.serving_port and is_free(port))
    launch = Launch(settings, layout, ports, JavaRuntime(Path("/usr"), 17, "none"))
    prepare_proxy(settings, layout, ports, None)
    try:
        with ray_head(environment=service_environment(launch, os.environ)) as head:
            yield head
    finally:
        shutil.rmtree(layout.runtime, ignore_errors=True)
