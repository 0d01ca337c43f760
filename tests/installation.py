"""A real installation in a home of its own, for tests that use the product as people do."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from core.settings import CODE_ROOT, Settings
from tests.planted import NOTHING, Planted, plant
from tests.problems import orchard
from tests.ray_head import free_published_ports

UP_TIMEOUT_S = 600
DOWN_TIMEOUT_S = 120
COMMAND_TIMEOUT_S = 420
#: Few candidates: the tests are about the way, not about the model.
QUICK = {"trials": 2, "families": ["lr", "rf", "gbt"], "parallel_trials": 2}


@dataclass(frozen=True)
class Installation:
    """An installation that is up, and how to speak to it."""

    settings: Settings
    environment: Mapping[str, str]
    #: What its secret settings are; see ``tests/integration/test_secrets.py``.
    planted: Planted = NOTHING

    def command(
        self, *arguments: str, timeout_s: float = COMMAND_TIMEOUT_S
    ) -> subprocess.CompletedProcess[str]:
        """Runs ``pilothouse`` with arguments, as in a terminal."""
        return subprocess.run(
            [str(Path(sys.executable).with_name("pilothouse")), *arguments],
            env=dict(self.environment),
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    def ask(self, *arguments: str) -> Any:
        """Runs a command with ``--json`` and returns its document."""
        done = self.command(*arguments, "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    def wait_for_run(self, run_id: str, timeout_s: float = 300) -> dict[str, Any]:
        """Waits until a run has ended and returns it."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            run: dict[str, Any] = self.ask("runs", "show", run_id)["run"]
            if run["status"] not in ("queued", "running"):
                return run
            time.sleep(1)
        raise AssertionError(f"run {run_id} has not ended after {timeout_s:g} s")


@contextmanager
def installation_in(folder: Path) -> Iterator[Installation]:
    """Brings up Titanic and the tests' own problem below ``folder``; takes all down again."""
    with running(prepare(folder)) as made:
        yield made


@contextmanager
def running(made: Installation) -> Iterator[Installation]:
    """Brings up what was prepared; takes all down again."""
    try:
        up = made.command("up", timeout_s=UP_TIMEOUT_S)
        assert up.returncode == 0, f"{up.stdout}\n{up.stderr}"
        yield made
    finally:
        down = made.command("down", timeout_s=DOWN_TIMEOUT_S)
        assert down.returncode == 0, f"{down.stdout}\n{down.stderr}"


def prepare(folder: Path, **changes: object) -> Installation:
    """Writes parameters and the second problem; starts nothing. ``changes`` are settings."""
    package = folder / "problems" / "orchard_problems"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    shutil.copy(orchard.__file__, package / "orchard.py")
    orchard.write_orchard(package / "orchard.csv", rows=600, seed=3)
    params = yaml.safe_load((CODE_ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["problems"] = ["titanic", "orchard"]
    # No test may meet a check that the time of day has started.
    params["schedule"]["checks"] = {}
    # On a machine that others keep busy a budget may be spent, which holds rollouts.
    titanic = {"availability": 0.5, "p95_ms": 9000.0, "window_days": 1}
    params["rollout"]["slo"] = {"titanic": titanic}
    # A retrain from few candidates may be worse; the tests follow it all the way.
    params["promotion"]["auc_margin"] = -0.5
    params["training"]["search"] |= QUICK
    params["training"]["split"]["folds"] = 2
    params["training"]["evaluation"]["parity_records"] = 2000
    params_file = folder / "params.yaml"
    params_file.write_text(yaml.safe_dump(params), encoding="utf-8")
    # Nobody listens there: every alert is refused, and what came of it is written down.
    planted = plant("127.0.0.1:9")
    given: dict[str, Any] = free_published_ports()
    given |= {**planted.settings(), **changes}
    settings = Settings(
        home=folder / "home",
        params_file=params_file,
        problem_packages="core.problems,orchard_problems",
        operator="tester",
        start_timeout_s=240,
        **given,
    )
    # What is beside these tests, also where another checkout is the one that is installed.
    code = f"{CODE_ROOT}{os.pathsep}{package.parent}"
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return Installation(
        settings,
        {**os.environ, **settings.variables(), "PYTHONPATH": code, "PATH": path},
        planted,
    )
