"""The Dockerfile's steps, done one after the other in a folder instead of a container.

A container engine adds users, layers and a file system of its own; what is installed, from
what, and whether it then runs is the same.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from core.settings import CODE_ROOT
from tests.containers import Stage, dockerfile

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]

COMMIT = "0123456789abcdef0123456789abcdef01234567"
STEP_TIMEOUT_S = 1200
#: Done by an engine for a file system that is its own.
OF_THE_SYSTEM = ("useradd ",)
#: How pip finds packages on this machine is the machine's business.
KEPT = ("PATH", "PIP_", "SSL_", "http_proxy", "https_proxy", "no_proxy")


class Root:
    """The file system of an image below a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._here = "/"
        self.environment = {k: v for k, v in os.environ.items() if k.startswith(KEPT)}
        self.environment |= {"HOME": str(folder / "root"), "BUILD_COMMIT": COMMIT}
        # The image's Python, without the packages of the environment that runs this.
        shim = folder / "shims" / "python"
        shim.parent.mkdir(parents=True)
        shim.symlink_to(Path(sys.executable).resolve())
        self.environment["PATH"] = f"{shim.parent}{os.pathsep}{os.environ['PATH']}"

    def at(self, path: str) -> Path:
        """Where a path of the image is."""
        return self.folder / path.lstrip("/")

    def build(self, stage: Stage) -> None:
        for word, rest in stage.instructions:
            match word:
                case "WORKDIR":
                    self._here = rest
                    self.at(rest).mkdir(parents=True, exist_ok=True)
                case "ENV":
                    self.environment |= self._variables(rest)
                case "COPY":
                    self._copy(rest.split())
                case "RUN" if not rest.startswith(OF_THE_SYSTEM):
                    self.run(["sh", "-euc", self._mapped(rest)])

    def run(self, argv: list[str]) -> str:
        done = subprocess.run(
            argv,
            cwd=self.at(self._here),
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=STEP_TIMEOUT_S,
            check=False,
        )
        assert done.returncode == 0, f"{argv}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        return done.stdout

    def _copy(self, words: list[str]) -> None:
        *sources, target = words
        if sources[0].startswith("--from"):
            # Both stages are built in the same place.
            return
        for source in sources:
            given = CODE_ROOT / source
            there = self.at(f"{self._here}/{target}")
            if given.is_dir():
                ignored = shutil.ignore_patterns("__pycache__")
                shutil.copytree(given, there, dirs_exist_ok=True, ignore=ignored)
            else:
                shutil.copy(given, there / given.name if there.is_dir() else there)

    def _variables(self, rest: str) -> Mapping[str, str]:
        pairs = dict(word.partition("=")[::2] for word in rest.split())
        path = self.environment["PATH"]
        return {name: self._mapped(text).replace("$PATH", path) for name, text in pairs.items()}

    def _mapped(self, text: str) -> str:
        """Absolute paths of the image as they are here."""
        return re.sub(r"(?<![\w/.])/(opt|tmp|var)/", rf"{self.folder}/\1/", text)


def test_its_steps_make_an_installation_that_runs(tmp_path: Path) -> None:
    stages, root = dockerfile(), Root(tmp_path)
    for folder in ("opt", "tmp", "root", "var/lib"):
        root.at(folder).mkdir(parents=True)
    root.build(stages["builder"])
    root.build(stages["base"])

    program = shutil.which("pilothouse", path=root.environment["PATH"])
    assert program == str(root.at("/opt/venv/bin/pilothouse"))
    assert "ray-node" in root.run([program, "service", "--help"])
    python = str(root.at("/opt/venv/bin/python"))
    root.run([python, "-c", "import app.server, core.worker, core.training.job, serve.deployment"])
    said = root.run(
        [python, "-c", "from core.training.provenance import git_commit; print(git_commit())"]
    )
    assert said.strip() == COMMIT
    checks = subprocess.run([python, "-m", "pip", "check"], capture_output=True, text=True)
    # The lock leaves out xgboost, whose module xgboost-cpu provides.
    missing = [line for line in checks.stdout.splitlines() if "xgboost" not in line]
    assert not [line for line in missing if "requires" in line], checks.stdout
    assert not list(root.at("/opt/venv/bin").glob("*gcc*"))
    shutil.rmtree(root.at("/opt"), ignore_errors=True)
