"""An installation of a benchmark's own: Titanic alone, on free ports, below a temporary folder."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from core.settings import CODE_ROOT, Settings
from core.settings_apart import settings_apart
from tests.installation import Installation
from tests.ray_head import free_published_ports


def prepare(folder: Path, change: Callable[[dict[str, Any]], None]) -> Installation:
    """Writes the parameters as they are delivered, with what ``change`` makes of them."""
    params = yaml.safe_load((CODE_ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["problems"] = ["titanic"]
    # No check may begin while something is measured.
    params["schedule"]["checks"] = {}
    params["rollout"]["slo"] = {}
    change(params)
    params_file = folder / "params.yaml"
    params_file.write_text(yaml.safe_dump(params), encoding="utf-8")
    ports: dict[str, Any] = free_published_ports()
    settings = settings_apart(
        Settings(), folder / "home", params_file=params_file, operator="benchmark", **ports
    )
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return Installation(
        settings,
        {**os.environ, **settings.variables(), "PYTHONPATH": str(CODE_ROOT), "PATH": path},
    )
