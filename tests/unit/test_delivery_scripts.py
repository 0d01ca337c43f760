"""Scripts that workflows call, with other programs in place of those that they start."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from core.settings import CODE_ROOT


@dataclass(frozen=True)
class Desk:
    """A folder of stand-ins for programs, each of which notes how it was called."""

    folder: Path

    def stand_in(self, name: str, text: str = "") -> None:
        """Puts a program on the path: it notes its words, then does what ``text`` says."""
        file = self.folder / "bin" / name
        file.parent.mkdir(exist_ok=True)
        note = f'#!/bin/sh\necho "{name} $*" >>"{self.folder}/calls"\n'
        file.write_text(f"{note}{text}\n", encoding="utf-8")
        file.chmod(0o755)

    def run(self, script: str, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Runs a script with the stand-ins first on the path."""
        bin_folder = self.folder / "bin"
        path = f"{bin_folder}{os.pathsep}{os.environ['PATH']}"
        return subprocess.run(
            ["sh", str(CODE_ROOT / "scripts" / script), *words],
            env={**os.environ, "PATH": path, "VENV_BIN": str(bin_folder), **environment},
            capture_output=True,
            text=True,
        )

    @property
    def calls(self) -> list[str]:
        """How programs were called, in order."""
        file = self.folder / "calls"
        return file.read_text(encoding="utf-8").splitlines() if file.exists() else []


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


class TestNightlyDrift:
    @pytest.mark.parametrize(("code", "fails"), [(0, False), (3, False), (1, True)])
    def test_without_critical_drift_nobody_is_called(
        self, desk: Desk, code: int, fails: bool
    ) -> None:
        desk.stand_in("pilothouse", f"exit {code}")
        done = desk.run("nightly_drift.sh", "--issues", "plums", OUT=str(desk.folder / "out"))
        assert (done.returncode != 0) is fails
        assert desk.calls == ["pilothouse drift plums"]
        assert not (desk.folder / "out" / "plums" / "issue.md").exists()

    def test_critical_drift_retrains_and_opens_an_issue(self, desk: Desk) -> None:
        desk.stand_in("pilothouse", 'echo "said of $1"; [ "$1" = drift ] && exit 42; exit 0')
        desk.stand_in("gh")
        done = desk.run("nightly_drift.sh", "--issues", "plums", OUT=str(desk.folder / "out"))
        assert done.returncode == 0, done.stderr
        issue = desk.folder / "out" / "plums" / "issue.md"
        text = issue.read_text(encoding="utf-8")
        assert "said of drift" in text
        assert "said of retrain" in text
        told = [call.split(" --")[0] for call in desk.calls]
        assert told == [
            "pilothouse drift plums",
            "pilothouse retrain plums",
            "gh issue list",
            "gh issue create",
        ]
        assert f"--title Critical drift: plums --body-file {issue}" in desk.calls[-1]

    def test_without_being_asked_it_opens_none(self, desk: Desk) -> None:
        desk.stand_in("pilothouse", '[ "$1" = drift ] && exit 42; exit 0')
        desk.stand_in("gh")
        done = desk.run("nightly_drift.sh", "plums", OUT=str(desk.folder / "out"))
        assert done.returncode == 0
        assert "gh" not in " ".join(desk.calls)

    def test_one_that_fails_does_not_keep_the_others_waiting(self, desk: Desk) -> None:
        desk.stand_in("pilothouse", '[ "$2" = plums ] && exit 1; exit 0')
        done = desk.run("nightly_drift.sh", "plums", "pears", OUT=str(desk.folder / "out"))
        assert done.returncode == 1
        assert desk.calls == ["pilothouse drift plums", "pilothouse drift pears"]

    def test_a_retrain_that_fails_is_told_and_is_a_failure(self, desk: Desk) -> None:
        desk.stand_in("pilothouse", 'echo "it broke"; [ "$1" = drift ] && exit 42; exit 1')
        done = desk.run("nightly_drift.sh", "plums", OUT=str(desk.folder / "out"))
        assert done.returncode == 1
        assert "it broke" in (desk.folder / "out" / "plums" / "issue.md").read_text()


class TestOpenIssue:
    def test_one_that_is_open_gets_a_comment(self, desk: Desk, tmp_path: Path) -> None:
        desk.stand_in("gh", '[ "$2" = list ] && echo 7; exit 0')
        done = desk.run("open_issue.sh", "A title", str(tmp_path / "text.md"))
        assert done.returncode == 0, done.stderr
        assert desk.calls[-1] == f"gh issue comment 7 --body-file {tmp_path / 'text.md'}"

    def test_where_none_is_open_it_is_opened(self, desk: Desk, tmp_path: Path) -> None:
        desk.stand_in("gh")
        assert desk.run("open_issue.sh", "A title", "text.md").returncode == 0
        assert desk.calls[-1] == "gh issue create --title A title --body-file text.md"

    def test_where_github_does_not_answer_nothing_is_opened(self, desk: Desk) -> None:
        desk.stand_in("gh", "exit 1")
        assert desk.run("open_issue.sh", "A title", "text.md").returncode != 0
        assert len(desk.calls) == 1


class TestDeliver:
    def test_a_folder_that_is_not_its_own_is_left_alone(self, desk: Desk) -> None:
        for name in ("pilothouse", "dvc"):
            desk.stand_in(name)
        home = desk.folder / "home"
        home.mkdir()
        (home / "pilothouse.db").write_text("somebody's", encoding="utf-8")
        for words in (["plums"], ["--end"]):
            done = desk.run("deliver.sh", *words, STAGING_HOME=str(home))
            assert done.returncode == 1
            assert "was not made by this script" in done.stderr
        assert desk.calls == []
        assert (home / "pilothouse.db").exists()

    def test_it_stops_at_a_threshold_with_its_code(self, desk: Desk) -> None:
        desk.stand_in("dvc")
        desk.stand_in("pilothouse", '[ "$2" = report ] && exit 42; exit 0')
        given = {"STAGING_HOME": str(desk.folder / "home"), "REPORT": "out", "BASE": "main"}
        done = desk.run("deliver.sh", "plums", **given)
        assert done.returncode == 42
        assert desk.calls == [
            "dvc config core.remote",
            "dvc repro evaluate@plums",
            "pilothouse pipeline report plums --base main --out out",
        ]

    @pytest.mark.parametrize(
        ("given", "base"),
        [
            ({"BASE_IF_KNOWN": "HEAD"}, "HEAD"),
            # What GitHub says of the commit before the first one.
            ({"BASE_IF_KNOWN": "0" * 40}, ""),
            ({"BASE_IF_KNOWN": ""}, ""),
            ({"BASE": "main", "BASE_IF_KNOWN": "HEAD"}, "main"),
        ],
    )
    def test_a_commit_that_is_gone_is_compared_with_nothing(
        self, desk: Desk, given: dict[str, str], base: str
    ) -> None:
        desk.stand_in("dvc")
        desk.stand_in("pilothouse", '[ "$2" = report ] && exit 42; exit 0')
        home = str(desk.folder / "home")
        desk.run("deliver.sh", "plums", STAGING_HOME=home, REPORT="out", **given)
        assert desk.calls[-1] == f"pilothouse pipeline report plums --base {base} --out out"

    @pytest.mark.parametrize("answers", [True, False])
    def test_a_remote_of_dvc_gives_and_takes_and_is_not_needed(
        self, desk: Desk, answers: bool
    ) -> None:
        fails = "exit 0" if answers else "exit 1"
        desk.stand_in("dvc", f'case "$1" in config) echo shared ;; fetch | push) {fails} ;; esac')
        desk.stand_in("pilothouse", '[ "$2" = report ] && exit 42; exit 0')
        done = desk.run("deliver.sh", "plums", STAGING_HOME=str(desk.folder / "home"))
        assert done.returncode == 42
        assert desk.calls[:4] == [
            "dvc config core.remote",
            "dvc fetch --run-cache",
            "dvc repro evaluate@plums",
            "dvc push --run-cache",
        ]
        assert ("is made anew" in done.stdout) is not answers

    def test_no_setting_of_another_installation_gets_in(self, desk: Desk) -> None:
        desk.stand_in("dvc")
        desk.stand_in("pilothouse", f'env | grep -E "^(PILOTHOUSE|RAY)_" >"{desk.folder}/seen"')
        desk.stand_in("python")
        home = desk.folder / "home"
        others = {
            "PILOTHOUSE_HOME": "/production",
            "PILOTHOUSE_DATABASE": "postgresql://production",
            "PILOTHOUSE_SERVING_PORT": "8000",
            "PILOTHOUSE_PROBLEM_PACKAGES": "core.problems",
            "RAY_ADDRESS": "auto",
        }
        done = desk.run("deliver.sh", "plums", STAGING_HOME=str(home), **others)
        assert done.returncode == 0, done.stderr
        seen = dict(
            line.split("=", 1)
            for line in (desk.folder / "seen").read_text(encoding="utf-8").splitlines()
        )
        assert seen == {
            "PILOTHOUSE_HOME": str(home),
            "PILOTHOUSE_PANEL_PORT": "10501",
            "PILOTHOUSE_SERVING_PORT": "10000",
            "PILOTHOUSE_MLFLOW_PORT": "7000",
            "PILOTHOUSE_RAY_DASHBOARD_PORT": "10265",
            "PILOTHOUSE_PROBLEM_PACKAGES": "core.problems",
        }

    def test_what_it_made_it_ends_and_removes(self, desk: Desk) -> None:
        desk.stand_in("pilothouse")
        home = desk.folder / "home"
        home.mkdir()
        (home / "made-by-deliver").touch()
        assert desk.run("deliver.sh", "--end", STAGING_HOME=str(home)).returncode == 0
        assert desk.calls == ["pilothouse down"]
        assert not home.exists()


class TestImages:
    def test_they_are_built_for_the_version_and_the_commit(self, desk: Desk) -> None:
        desk.stand_in("docker")
        desk.stand_in("git", "echo abc")
        assert desk.run("images.sh").returncode == 0
        assert desk.calls[1:]
        for call in desk.calls[1:]:
            assert call.startswith("docker buildx build --load ")
            assert "--build-arg BUILD_COMMIT=abc " in call

    def test_published_ones_say_what_they_are_made_of(self, desk: Desk) -> None:
        desk.stand_in("docker")
        desk.stand_in("git", "echo abc")
        assert desk.run("images.sh", PUSH="yes", IMAGE="example.org/plums").returncode == 0
        for call in desk.calls[1:]:
            assert "--push --provenance mode=max --sbom true" in call
            assert " --tag example.org/plums" in call


def test_a_release_of_another_version_is_refused(desk: Desk) -> None:
    desk.stand_in("make")
    done = desk.run("release_files.sh", "v999.0.0")
    assert done.returncode == 1
    assert "is not the version of pyproject.toml" in done.stderr
    assert desk.calls == []
