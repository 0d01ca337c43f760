"""Where a run came from, with Git, with a build stamp, with neither."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from core.training.provenance import (
    BUILD_COMMIT_FILE,
    PACKAGES,
    environment_snapshot,
    git_commit,
)


def _git(root: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=plum", "-c", "user.email=plum@example.org"]
    done = subprocess.run(
        ["git", "-C", str(root), *identity, *arguments], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def test_the_commit_says_whether_tracked_files_differ(tmp_path: Path) -> None:
    _git(tmp_path, "init", "--quiet")
    (tmp_path / "code.py").write_text("a = 1\n")
    _git(tmp_path, "add", ".")
    _git(tmp_path, "commit", "--quiet", "--message", "first")
    head = _git(tmp_path, "rev-parse", "HEAD")
    (tmp_path / "untracked").touch()
    assert git_commit(tmp_path) == head
    (tmp_path / "code.py").write_text("a = 2\n")
    assert git_commit(tmp_path) == f"{head}-dirty"


def test_without_git_the_build_says_it(tmp_path: Path) -> None:
    assert git_commit(tmp_path) == "unknown"
    (tmp_path / BUILD_COMMIT_FILE).write_text("abc123\n")
    assert git_commit(tmp_path) == "abc123"


def test_a_machine_without_the_git_program_is_fine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / BUILD_COMMIT_FILE).write_text("abc123\n")
    assert git_commit(tmp_path) == "abc123"


def test_the_environment_is_text_throughout() -> None:
    snapshot = environment_snapshot("openjdk 17")
    assert snapshot["java"] == "openjdk 17"
    assert set(PACKAGES) <= set(snapshot)
    assert int(snapshot["cores_physical"]) >= 1
    assert int(snapshot["memory_mb"]) > 0
    assert all(isinstance(value, str) for value in snapshot.values())
