"""Reports of the pipeline: what is in place, and what Git has of another commit."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from core.delivery.earlier import pipeline_workspace, present_report, report_of_commit
from core.errors import NotFoundError
from core.training.report import EvaluationReport
from core.training.workspace import write_json
from tests.unit.core_fakes import report_of


def _git(root: Path, *arguments: str) -> str:
    who = ("-c", "user.name=ann", "-c", "user.email=ann@example.com")
    done = subprocess.run(
        ["git", "-C", str(root), *who, *arguments], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def _commit(root: Path, report: EvaluationReport | str | None) -> str:
    file = pipeline_workspace(root, "plums").report
    if isinstance(report, EvaluationReport):
        write_json(file, report)
    elif report is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(report, encoding="utf-8")
    _git(root, "add", "--all")
    _git(root, "commit", "--allow-empty", "--message", "a commit")
    return _git(root, "rev-parse", "HEAD")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    _git(tmp_path, "init", "--quiet")
    return tmp_path


def test_a_commit_has_its_own_report(root: Path) -> None:
    first, second = _commit(root, report_of(0.8)), _commit(root, report_of(0.9))
    assert report_of_commit(root, "plums", first) == report_of(0.8)
    assert report_of_commit(root, "plums", second) == report_of(0.9)
    assert present_report(root, "plums") == report_of(0.9)


def test_a_commit_may_have_none_or_one_of_another_release(root: Path) -> None:
    before, other = _commit(root, None), _commit(root, '{"auc": 0.8}')
    assert report_of_commit(root, "plums", before) is None
    assert report_of_commit(root, "plums", other) is None
    with pytest.raises(NotFoundError, match="another release"):
        present_report(root, "plums")


@pytest.mark.parametrize("commit", ["0" * 40, "no-such-branch", "--help"])
def test_a_commit_that_git_does_not_know_is_named(root: Path, commit: str) -> None:
    _commit(root, report_of())
    with pytest.raises(NotFoundError, match=commit):
        report_of_commit(root, "plums", commit)


def test_what_was_never_evaluated_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError) as said:
        present_report(tmp_path, "plums")
    assert said.value.fix == "Run `dvc repro evaluate@plums`."
