"""Workflows and their scripts call what exists: make targets, commands, scripts, paths.

actionlint in `make check` knows what a workflow may say; this knows this repository.
"""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from typer.core import TyperGroup

from core import cli
from core.settings import CODE_ROOT

WORKFLOWS = {path.name: path for path in sorted((CODE_ROOT / ".github/workflows").glob("*.yml"))}
SCRIPTS = tuple(sorted((CODE_ROOT / "scripts").glob("*.sh")))
#: Programs of the runner that workflows may call themselves; all else is this repository's.
FOREIGN = {"apt-get", "cat", "gh", "git", "printf"}
#: What a command line is made of that `&&` and newlines part.
SEPARATORS = re.compile(r"&&|\|\||[;\n]")


@cache
def _workflow(name: str) -> dict[Any, Any]:
    found = yaml.safe_load(WORKFLOWS[name].read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


def _steps(name: str) -> Iterator[dict[str, Any]]:
    for job in _workflow(name)["jobs"].values():
        yield from job["steps"]


def _lines(text: str) -> Iterator[list[str]]:
    """The commands of a script, in words."""
    for part in SEPARATORS.split(text.replace("\\\n", " ")):
        # What GitHub puts in is one word, whatever it will be.
        words = shlex.split(re.sub(r"\$\{\{.*?\}\}", "given", part), comments=True)
        if words:
            yield words


def _calls() -> list[tuple[str, list[str]]]:
    return [
        (name, words)
        for name in WORKFLOWS
        for step in _steps(name)
        if "run" in step
        for words in _lines(step["run"])
    ]


@cache
def _targets() -> frozenset[str]:
    text = (CODE_ROOT / "Makefile").read_text(encoding="utf-8")
    return frozenset(re.findall(r"^([a-z][a-z-]*):", text, re.MULTILINE))


def _fault(words: list[str]) -> str:
    """What is wrong with a command of a workflow; nothing if it is all right."""
    program, *rest = words
    if program == "make":
        missing = [word for word in rest if "=" not in word and word not in _targets()]
        return f"no such target: {missing}" if missing else ""
    if program in ("sh", "python") and rest and rest[0].startswith("scripts/"):
        return "" if (CODE_ROOT / rest[0]).is_file() else "no such script"
    if program == "pilothouse" or program.endswith("/pilothouse"):
        return _fault_of_command(rest)
    return "" if program in FOREIGN else "a program that people do not call"


def _fault_of_command(words: list[str]) -> str:
    """What is wrong with a call of ``pilothouse``; what a shell puts in may be anything."""
    command: Any = typer.main.get_command(cli.app)
    rest = list(words)
    while isinstance(command, TyperGroup):
        if not rest or rest[0] not in command.commands:
            return f"no such command: {' '.join(words)}"
        command = command.commands[rest.pop(0)]
    options = {name for parameter in command.params for name in parameter.opts}
    strangers = [word for word in rest if word.startswith("--") and word not in options]
    return f"no such option: {strangers}" if strangers else ""


def test_there_are_workflows_and_they_call_something() -> None:
    assert {"ci.yml", "train.yml", "nightly.yml", "release.yml"} <= set(WORKFLOWS)
    assert {name for name, _ in _calls()} == set(WORKFLOWS)


@pytest.mark.parametrize(
    ("name", "words"),
    [pytest.param(name, words, id=f"{name}: {' '.join(words)}"[:80]) for name, words in _calls()],
)
def test_a_workflow_calls_what_people_call(name: str, words: list[str]) -> None:
    assert _fault(words) == ""


@pytest.mark.parametrize(
    "words",
    [
        ["make", "delivr"],
        ["sh", "scripts/none.sh"],
        ["python", "-c", "train()"],
        [".venv/bin/pilothouse", "pipeline", "deploy"],
        ["pilothouse", "drift", "titanic", "--no-such-option"],
        ["pilothouse"],
    ],
)
def test_what_does_not_exist_would_be_found(words: list[str]) -> None:
    assert _fault(words)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_calls_commands_that_exist(script: Path) -> None:
    text = script.read_text(encoding="utf-8").replace("\\\n", " ")
    for line in text.splitlines():
        call = re.match(r"\s*pilothouse ([a-z].*?)(?:\s*(?:>|\||&&|;).*)?$", line)
        if call:
            assert _fault_of_command(shlex.split(call[1])) == "", line
        for target in re.findall(r"^\s*make ([a-z-]+)", line):
            assert target in _targets(), line
        for path in re.findall(r"(?:sh|python) (scripts/\S+)", line):
            assert (CODE_ROOT / path).is_file(), line


def test_scripts_are_seen_to_call_commands() -> None:
    texts = "".join(path.read_text(encoding="utf-8") for path in SCRIPTS)
    for call in ("pipeline report", "pipeline register", "up", "down", "drift", "retrain"):
        assert re.search(rf"^\s*pilothouse {call}\b", texts, re.MULTILINE), call


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_may_little_and_not_for_ever(name: str) -> None:
    workflow = _workflow(name)
    assert workflow["permissions"] == {"contents": "read"}
    assert "cancel-in-progress" in workflow["concurrency"]
    assert all(job["timeout-minutes"] <= 120 for job in workflow["jobs"].values())


@pytest.mark.parametrize("name", WORKFLOWS)
def test_an_action_is_of_a_named_version(name: str) -> None:
    for step in _steps(name):
        if "uses" in step:
            assert re.fullmatch(r"[\w-]+/[\w-]+@v\d+(\.\d+)*", step["uses"])


class TestTrain:
    #: YAML takes the word `on` for true.
    WHEN = _workflow("train.yml")[True]

    def test_both_ways_in_look_at_the_same(self) -> None:
        assert self.WHEN["push"]["paths"] == self.WHEN["pull_request"]["paths"]

    def test_whatever_the_pipeline_depends_on_starts_it(self) -> None:
        stages = yaml.safe_load((CODE_ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
        needed = {name for stage in stages.values() for name in stage["deps"]}
        needed |= {"dvc.yaml", "dvc.lock", "params.yaml", "scripts/deliver.sh"}
        for name in needed:
            path = name.replace("${item.problem}", "titanic")
            if (CODE_ROOT / path).is_dir():
                path += "/any.py"
            assert any(_matches(path, pattern) for pattern in self.WHEN["push"]["paths"]), path

    def test_whatever_decides_a_result_has_stages_run_again(self) -> None:
        deciding = ("core/training/", "core/scoring/", "core/problems/", "core/adapters/spark_")
        stages = yaml.safe_load((CODE_ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
        needed = tuple(name for stage in stages.values() for name in stage["deps"])
        reached = _reached("core/training/pipeline.py")
        assert "core/training/evaluation.py" in reached
        assert [p for p in reached if p.startswith(deciding) and not p.startswith(needed)] == []
        assert all("requirements.lock" in stage["deps"] for stage in stages.values())

    @pytest.mark.parametrize("pattern", WHEN["push"]["paths"])
    def test_no_path_is_of_something_gone(self, pattern: str) -> None:
        assert (CODE_ROOT / pattern.removesuffix("/**")).exists()


def _reached(module: str) -> list[str]:
    """The module and all of ours that it imports, and so on."""
    reached: set[str] = set()
    left = [module]
    while left:
        path = left.pop()
        if path not in reached:
            reached.add(path)
            left += _imported(path)
    return sorted(reached)


def _imported(path: str) -> Iterator[str]:
    for node in ast.walk(ast.parse((CODE_ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            for name in (node.module, *(f"{node.module}.{one.name}" for one in node.names)):
                file = f"{name.replace('.', '/')}.py"
                if name.startswith("core.") and (CODE_ROOT / file).is_file():
                    yield file


def _matches(path: str, pattern: str) -> bool:
    return fnmatch(path, pattern.replace("**", "*"))
