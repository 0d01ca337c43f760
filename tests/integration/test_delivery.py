"""From a clean clone to a staging endpoint that answers, by the commands that CI calls.

Only the set-up of the virtual environment is left out: the clone takes the one of these tests.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from core.delivery.earlier import pipeline_workspace, present_report
from core.settings import CODE_ROOT
from tests.ray_head import free_ports

pytestmark = [pytest.mark.long, pytest.mark.timeout(1500)]
PROBLEM = "titanic"
DELIVER_TIMEOUT_S = 1200
NAMES = ("PANEL", "SERVING", "MLFLOW", "RAY_DASHBOARD")


class Clone:
    """A clone of this repository, and a staging endpoint of its own."""

    def __init__(self, folder: Path) -> None:
        self.root, self.home = folder / "clone", folder / "home"
        subprocess.run(
            ["git", "clone", "--quiet", str(CODE_ROOT), str(self.root)],
            check=True,
            capture_output=True,
        )
        self.ports = dict(zip(NAMES, free_ports(len(NAMES)), strict=True))
        staging = {f"STAGING_{name}_PORT": str(port) for name, port in self.ports.items()}
        self.environment = {
            **os.environ,
            **staging,
            "STAGING_HOME": str(self.home),
            # The clone's code, whatever checkout is installed.
            "PYTHONPATH": str(self.root),
        }

    @property
    def url(self) -> str:
        """Address of the staging endpoint."""
        return f"http://127.0.0.1:{self.ports['SERVING']}"

    def make(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Calls make with the virtual environment of these tests, which is left as it is."""
        venv = Path(sys.executable).parents[1]
        return subprocess.run(
            ["make", "-o", f"{venv}/.packages", f"VENV={venv}", *words],
            cwd=self.root,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=DELIVER_TIMEOUT_S,
        )

    def end(self) -> None:
        """Takes the staging endpoint down, whatever came of it."""
        done = subprocess.run(
            ["sh", "scripts/deliver.sh", "--end"],
            cwd=self.root,
            env={**self.environment, "VENV_BIN": str(Path(sys.executable).parent)},
            capture_output=True,
            text=True,
            timeout=180,
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def clone() -> Iterator[Clone]:
    with tempfile.TemporaryDirectory(prefix="pilothouse-") as folder:
        made = Clone(Path(folder))
        try:
            yield made
        finally:
            made.end()


def test_a_clean_clone_comes_to_a_staging_endpoint_that_answers(clone: Clone) -> None:
    done = clone.make("deliver", f"PROBLEMS={PROBLEM}", BASE="HEAD")
    assert done.returncode == 0, f"{done.stdout[-6000:]}\n{done.stderr[-3000:]}"
    assert "accuracy " in done.stdout
    told = httpx.get(f"{clone.url}/problems/{PROBLEM}", trust_env=False).json()
    report = present_report(clone.root, PROBLEM)
    assert told["version"] == 1
    assert told["metrics"]["auc"] == pytest.approx(report.metrics["auc"].value)
    # What serves is what the pipeline has made: nothing was trained beside it.
    lock = yaml.safe_load((clone.root / "dvc.lock").read_text(encoding="utf-8"))
    (raw,) = lock["stages"][f"ingest@{PROBLEM}"]["outs"]
    assert told["data_version"] == f"md5:{raw['md5']}"
    commit = subprocess.run(
        ["git", "-C", str(clone.root), "rev-parse", "HEAD"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    assert told["git_commit"].startswith(commit)


def test_the_report_has_metrics_thresholds_and_figures(clone: Clone) -> None:
    folder = clone.root / "build" / "delivery"
    text = (folder / "report.md").read_text(encoding="utf-8")
    assert f"### ✅ {PROBLEM}" in text
    assert "compared with `HEAD`" in text
    assert "xychart-beta" in text
    figures = {path.name for path in folder.glob("*.png")}
    assert f"{PROBLEM}-roc.png" in figures
    assert len(figures) == len(list(pipeline_workspace(clone.root, PROBLEM).figures.glob("*.png")))


def test_the_nightly_check_looks_at_what_was_asked(clone: Clone, tmp_path: Path) -> None:
    staging = {f"PILOTHOUSE_{name}_PORT": str(port) for name, port in clone.ports.items()}
    done = clone.make(
        "nightly-drift",
        f"PROBLEMS={PROBLEM}",
        PILOTHOUSE_HOME=str(clone.home),
        OUT=str(tmp_path),
        **staging,
    )
    assert done.returncode == 0, f"{done.stdout[-6000:]}\n{done.stderr[-3000:]}"
    assert "rows against" in (tmp_path / PROBLEM / "drift.txt").read_text(encoding="utf-8")


def test_a_threshold_that_is_not_kept_ends_the_delivery(clone: Clone) -> None:
    file = clone.root / "params.yaml"
    kept = file.read_text(encoding="utf-8")
    params = yaml.safe_load(kept)
    params["delivery"]["thresholds"][PROBLEM] = {"auc": 0.99}
    file.write_text(json.dumps(params), encoding="utf-8")
    try:
        done = clone.make("deliver", f"PROBLEMS={PROBLEM}")
    finally:
        file.write_text(kept, encoding="utf-8")
    assert done.returncode != 0
    assert "at least 0.99 is asked" in done.stdout
    assert not (clone.home / "mlflow" / "mlflow.db").exists()
    with pytest.raises(httpx.ConnectError):
        httpx.get(clone.url, trust_env=False)
