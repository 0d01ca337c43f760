"""Runs the repository's pipeline where it is not up to date, and collects what it gives."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from benchmarks.machine import describe_machine, prepare_launch
from core.delivery.earlier import pipeline_workspace, present_report, soft_findings
from core.errors import NotFoundError, TrainingError
from core.params import Params
from core.problems.contract import Problem
from core.services.environment import service_environment
from core.settings import inherited_environment
from core.training.provenance import git_commit
from reporting.days import course
from reporting.results import Aim, Benchmark, Results, Trained

LOG = logging.getLogger(__name__)
#: Of MLflow and Ray while the pipeline runs, below the repository and outside Git.
HOME = Path("build", "report", "home")
BENCHMARKS = Path("docs", "benchmarks.md")
#: A section of docs/benchmarks.md as `benchmarks.report.render` writes it.
_FIGURES = re.compile(r"<!-- figures: (\w+) -->\n(.*?)<!-- end of figures: \1 -->", re.DOTALL)
_AIM = re.compile(r"\| (.+?) \| ([≤≥] .+?) \| (.+?) \| (.+?) \|$", re.MULTILINE)


def run_pipeline(root: Path, problems: Sequence[Problem]) -> None:
    """Brings every problem's stages up to date; what has not changed is not run again.

    Raises:
        TrainingError: a stage failed; it has said why.
    """
    # An installation of its own: neither the cluster nor the MLflow of another one is used.
    launch = prepare_launch(root / HOME, operator="report")
    targets = [f"evaluate@{problem.name}" for problem in problems]
    done = subprocess.run(
        [sys.executable, "-P", "-m", "dvc", "repro", *targets],
        env=service_environment(launch, inherited_environment()),
        cwd=root,
        check=False,
    )
    if done.returncode:
        raise TrainingError(f"`dvc repro {' '.join(targets)}` failed.")


@dataclass(frozen=True)
class Beginning:
    """What a report begins with; its own runs change files and keep the machine busy."""

    commit: str
    conditions: str


def beginning(root: Path) -> Beginning:
    """Commit and machine before anything runs."""
    return Beginning(git_commit(root), describe_machine())


def collect(
    root: Path, problems: Sequence[Problem], params: Params, began: Beginning, *, days: int
) -> Results:
    """Reads what the pipeline has made, and lets days pass over it.

    Args:
        root: the repository.
        problems: those of the report, in order.
        params: by which days are judged.
        days: how many days pass for each problem.
        began: commit and machine before any of it ran.

    Raises:
        NotFoundError: the pipeline has not made something yet.
    """
    trained, courses = [], []
    for problem in problems:
        report = present_report(root, problem.name)
        ws = pipeline_workspace(root, problem.name)
        if not (ws.onnx.is_file() and ws.reference.is_file()):
            raise NotFoundError(
                f"The model of {problem.name} is not in place.",
                fix=f"Run `dvc repro evaluate@{problem.name}`.",
            )
        trained.append(
            Trained(
                title=problem.title,
                data_version=_data_version(root, problem.name),
                inputs=len(problem.contract.fields),
                derived=len(problem.derived),
                positive_meaning=problem.contract.label.positive_meaning,
                findings=soft_findings(root, problem.name),
                report=report,
            )
        )
        seen = course(
            problem, ws, report.threshold, params.monitoring, days=days, seed=params.monitoring.seed
        )
        courses += [seen] if seen else []
    return Results(
        git_commit=began.commit,
        conditions=began.conditions,
        trained=tuple(trained),
        courses=tuple(courses),
        # Whoever writes the page reads what theirs has by then.
        benchmarks=(),
    )


def _data_version(root: Path, problem: str) -> str:
    lock = yaml.safe_load((root / "dvc.lock").read_text(encoding="utf-8"))
    (raw,) = lock["stages"][f"ingest@{problem}"]["outs"]
    return f"md5:{raw['md5']}"


def benchmarks_of(page: str) -> Iterator[Benchmark]:
    """Titles, conditions and targets of every benchmark whose figures the page has."""
    for found in _FIGURES.finditer(page):
        lines = found[2].splitlines()
        titles = [line.removeprefix("### ") for line in lines if line.startswith("### ")]
        if titles:
            aims = tuple(
                Aim(what=a, limit=b, measured=c, outcome=d) for a, b, c, d in _AIM.findall(found[2])
            )
            yield Benchmark(title=titles[0], conditions=_conditions(lines), aims=aims)


def _conditions(lines: Sequence[str]) -> str:
    """The first paragraph below the title."""
    return next((line for line in lines if line and not line.startswith(("#", "|"))), "")
