"""`make report` from a clean clone, with small parameters: pipeline, days, page and PDF."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from pypdf import PdfReader

from core.settings import CODE_ROOT
from reporting.__main__ import PAGE, RESULTS, pdf_of
from reporting.results import Results, read_results

pytestmark = [pytest.mark.long, pytest.mark.timeout(1200)]
REPORT_TIMEOUT_S = 900
DAYS = 2
REGION = re.compile(r"(<!-- figures: (\w+) -->\n).*?(<!-- end of figures: \2 -->)", re.DOTALL)


@pytest.fixture(scope="module")
def clone() -> Iterator[Path]:
    """A clone that trains two candidates of one problem."""
    with tempfile.TemporaryDirectory(prefix="pilothouse-") as folder:
        root = Path(folder) / "clone"
        subprocess.run(
            ["git", "clone", "--quiet", str(CODE_ROOT), str(root)], check=True, capture_output=True
        )
        file = root / "params.yaml"
        params = yaml.safe_load(file.read_text(encoding="utf-8"))
        params["problems"] = ["titanic"]
        params["bootstrap"] = []
        params["schedule"]["checks"] = {}
        params["rollout"]["slo"] = {}
        params["training"]["search"] |= {"families": ["lr"], "trials": 2}
        params["training"]["evaluation"] |= {"bootstrap_samples": 100, "parity_records": 200}
        file.write_text(json.dumps(params), encoding="utf-8")
        yield root


def _report(root: Path) -> tuple[Results, str]:
    """Calls `make report`; returns the figures and what it printed."""
    venv = Path(sys.executable).parents[1]
    done = subprocess.run(
        ["make", "-o", f"{venv}/.packages-dev", f"VENV={venv}", "report", f"DAYS={DAYS}"],
        cwd=root,
        # The clone's code, whatever checkout is installed.
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        timeout=REPORT_TIMEOUT_S,
    )
    told = done.stdout + done.stderr
    assert done.returncode == 0, told[-6000:]
    return read_results(root / RESULTS), told


def test_one_command_runs_everything_and_the_next_one_reuses_it(clone: Path) -> None:
    before = (clone / PAGE).read_text(encoding="utf-8")
    first, told = _report(clone)
    assert "Running stage 'train@titanic'" in told
    assert f"titanic, day {DAYS} of {DAYS}: " in told

    (trained,) = first.trained
    assert {one.family for one in trained.report.candidates} == {"lr"}
    assert len(trained.report.candidates) == 2
    lock = yaml.safe_load((clone / "dvc.lock").read_text(encoding="utf-8"))
    assert trained.data_version.endswith(lock["stages"]["ingest@titanic"]["outs"][0]["md5"])
    (course,) = first.courses
    assert [day.number for day in course.days] == [1, 2]
    # The second half of the days has doubled fares.
    assert course.days[1].psi["Fare"] > max(0.3, course.days[0].psi["Fare"])
    assert all(day.estimated is not None and 0.5 < day.realized < 1 for day in course.days)

    page = (clone / PAGE).read_text(encoding="utf-8")
    assert "Logistic Regression (chosen)" in page
    assert "Car loan repayment" not in "".join(match[0] for match in REGION.finditer(page))
    # What people wrote stays as it was.
    assert REGION.sub(r"\1\3", page) == REGION.sub(r"\1\3", before)
    words = " ".join(one.extract_text() for one in PdfReader(clone / pdf_of(PAGE)).pages)
    assert "Logistic Regression (chosen)" in " ".join(words.split())

    second, told = _report(clone)
    assert "Running stage" not in told
    assert second.trained == first.trained
    assert second.courses == first.courses
