"""The machine in words, and the environment that a benchmark's processes start with."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import psutil

from core.services.environment import Launch, service_environment
from core.services.java import find_java
from core.services.layout import layout_of
from core.services.machine import usable_cores
from core.services.ports import choose_ports, is_free
from core.settings import CODE_ROOT, Settings, inherited_environment
from core.settings_apart import settings_apart
from tests.ray_head import free_published_ports


def describe_machine() -> str:
    """Date, cores, memory and what else the machine is busy with. No host and no path."""
    memory_gb = psutil.virtual_memory().total / 2**30
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {usable_cores()} cores, {memory_gb:.0f} GB of memory, "
        f"Python {platform.python_version()}, load before the start {os.getloadavg()[0]:.1f}."
    )


def prepare_launch(home: Path, operator: str = "benchmark") -> Launch:
    """An installation of its own below ``home``, on free ports; nothing is started."""
    settings = settings_apart(Settings(), home, operator=operator, **free_published_ports())
    layout = layout_of(home)
    layout.prepare()
    seed = int(layout.installation, 16)
    internal = choose_ports(None, seed, is_free)
    return Launch(settings, layout, internal, find_java(inherited_environment()))


def run_module(launch: Launch, module: str, arguments: Sequence[str]) -> str:
    """Runs one of our modules in a process of its own; returns its last line.

    What the process says besides goes to a log below the home.

    Raises:
        RuntimeError: the process failed; the end of its log comes with it.
    """
    log = launch.layout.log_of(module.rpartition(".")[2])
    with log.open("ab") as errors:
        done = subprocess.run(
            [sys.executable, "-P", "-m", module, *arguments],
            env=service_environment(launch, inherited_environment()),
            cwd=CODE_ROOT,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            check=False,
        )
    if done.returncode:
        told = "\n".join(log.read_text(errors="replace").splitlines()[-30:])
        raise RuntimeError(f"{module} {' '.join(arguments)} failed:\n{told}")
    return done.stdout.strip().splitlines()[-1]
