"""Where a run came from: code, data and machine."""

from __future__ import annotations

import hashlib
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import psutil

from core.services.java import find_java
from core.settings import CODE_ROOT, inherited_environment

#: Written by an image build, where there is no .git.
BUILD_COMMIT_FILE = "BUILD_COMMIT"
GIT_TIMEOUT_S = 10
PACKAGES = ("ray", "raydp", "pyspark", "mlflow", "dvc", "onnx", "onnxruntime", "numpy", "pyarrow")


@dataclass(frozen=True)
class Provenance:
    """Where a run came from. ``environment`` is that of ``environment_snapshot``."""

    git_commit: str
    #: That of ``code_digest``: what ran, also where tracked files differed from the commit.
    code_digest: str
    environment: Mapping[str, str]
    #: File below ``PILOTHOUSE_HOME`` in which DVC has the rows; empty where it has them not.
    data_file: str = ""


def git_commit(root: Path = CODE_ROOT) -> str:
    """Commit of the code, with ``-dirty`` when tracked files differ from it.

    Without a ``.git`` it comes from the build's ``BUILD_COMMIT`` file; ``unknown``
    when there is neither.
    """
    try:
        commit = _git(root, "rev-parse", "HEAD")
        dirty = _git(root, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        stamp = root / BUILD_COMMIT_FILE
        return stamp.read_text(encoding="utf-8").strip() if stamp.exists() else "unknown"
    return f"{commit}-dirty" if dirty else commit


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(root), *arguments],
        check=True,
        capture_output=True,
        text=True,
        timeout=GIT_TIMEOUT_S,
    )
    return done.stdout.strip()


def code_digest(packages: Sequence[str]) -> str:
    """SHA-256 of the core's source and of the problem packages', wherever they lie."""
    found = [spec for spec in map(find_spec, {"core", *packages}) if spec is not None]
    folders = {Path(place) for spec in found for place in spec.submodule_search_locations or ()}
    digest = hashlib.sha256()
    for folder in sorted(folders, key=lambda path: path.name):
        for path in sorted(folder.rglob("*.py")):
            digest.update(f"{folder.name}/{path.relative_to(folder)}\0".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def provenance_here(packages: Sequence[str], data_file: str = "") -> Provenance:
    """Where a run of this process comes from, whose environment need not be a service's.

    Raises:
        SetupError: there is no Java that runs Spark.
    """
    # Java may be the one in the wheel, which is on nobody's path.
    java = find_java(inherited_environment()).home / "bin" / "java"
    machine = environment_snapshot(java_version(str(java)))
    return Provenance(git_commit(), code_digest(packages), machine, data_file)


def java_version(java: str = "java") -> str:
    """First line of ``java -version``."""
    done = subprocess.run([java, "-version"], capture_output=True, text=True, check=False)
    lines = [line for line in done.stderr.splitlines() if "version" in line]
    return lines[0] if lines else "unknown"


def environment_snapshot(java_version: str) -> dict[str, str]:
    """Host, cores, memory and versions that a run depends on; values as text."""
    snapshot = {
        "host": platform.node(),
        "system": platform.platform(),
        "cores_physical": str(psutil.cpu_count(logical=False) or psutil.cpu_count()),
        "memory_mb": str(psutil.virtual_memory().total // 2**20),
        "python": platform.python_version(),
        "java": java_version,
    }
    return snapshot | {name: version(name) for name in PACKAGES}
