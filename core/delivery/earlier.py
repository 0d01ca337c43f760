"""Reports of the pipeline as Git holds them: of what is in place, and of another commit."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from core.domain import SoftFinding
from core.errors import NotFoundError
from core.training.report import EvaluationReport
from core.training.workspace import Workspace
from core.wording import count

GIT_TIMEOUT_S = 30
_FINDINGS = TypeAdapter(tuple[SoftFinding, ...])


def pipeline_workspace(root: Path, problem: str) -> Workspace:
    """The workspace of `dvc repro`, as ``dvc.yaml`` names its files."""
    return Workspace(root / "data" / problem)


def present_report(root: Path, problem: str) -> EvaluationReport:
    """The report that is in place.

    Raises:
        NotFoundError: there is none, or it is of another release.
    """
    file = pipeline_workspace(root, problem).report
    fix = f"Run `dvc repro evaluate@{problem}`."
    try:
        return EvaluationReport.model_validate_json(file.read_bytes())
    except OSError as exc:
        raise NotFoundError(f"The pipeline has not evaluated {problem} yet.", fix=fix) from exc
    except ValidationError as exc:
        raise NotFoundError(
            f"The report of {problem} was written by another release.", fix=fix
        ) from exc


def soft_findings(root: Path, problem: str) -> tuple[str, ...]:
    """What validation has counted, one sentence each; nothing where its file is not in place."""
    file = pipeline_workspace(root, problem).validation
    if not file.exists():
        return ()
    found = _FINDINGS.validate_json(file.read_bytes())
    return tuple(f"{one.column}: {one.rule}, {count(one.rows, 'row')}" for one in found)


def report_of_commit(root: Path, problem: str, commit: str) -> EvaluationReport | None:
    """The report of another commit; ``None`` where it has none that this release can read.

    Raises:
        NotFoundError: Git does not know the commit.
    """
    if _git(root, ["rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}"]) is None:
        raise NotFoundError(
            f"Git does not know the commit {commit!r}.", fix="Fetch it, or name another one."
        )
    path = pipeline_workspace(root, problem).report.relative_to(root)
    found = _git(root, ["show", f"{commit}:{path.as_posix()}"])
    try:
        return None if found is None else EvaluationReport.model_validate_json(found)
    except ValidationError:
        return None


def _git(root: Path, arguments: Sequence[str]) -> bytes | None:
    """What Git prints; ``None`` where it says no or is not there."""
    command = ["git", "-C", str(root), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, check=True, timeout=GIT_TIMEOUT_S)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout
