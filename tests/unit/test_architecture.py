"""Rules of the code that no tool checks; import rules are import-linter's."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from core.problems import load_problem
from core.settings import CODE_ROOT

PACKAGES = ("app", "core", "serve")
PROBLEMS = ("titanic", "car_loan")
PROBLEM_FILES = tuple(f"core/problems/{name}.py" for name in PROBLEMS)
MAX_LINES = 300
#: Column names that are also words of English; they are looked for as texts alone.
EVERYDAY = {"Age", "Name", "body", "repaid"}
#: Column names that say nothing: keys of everything, and what NannyML calls predictions.
COMMON = {"id", "timestamp", "y_pred", "y_pred_proba"}
#: (module, text) -> what the text means there.
OTHER_MEANING = {
    ("app/components/batch_table.py", "Age"): "how long ago a batch was added",
    ("app/components/run_table.py", "Age"): "how long ago a run started",
    ("app/compare/files.py", "Age"): "how long ago a run started",
    ("serve/http.py", "body"): "ASGI's key for the bytes of a request",
    ("serve/validation.py", "body"): "the request as a whole",
}


def _modules() -> Iterator[str]:
    for package in PACKAGES:
        for path in sorted((CODE_ROOT / package).rglob("*.py")):
            yield path.relative_to(CODE_ROOT).as_posix()


MODULES = tuple(_modules())


@cache
def _source(module: str) -> str:
    return Path(CODE_ROOT, module).read_text(encoding="utf-8")


@cache
def _nodes(module: str) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(ast.parse(_source(module))))


def _column_names() -> frozenset[str]:
    return frozenset(name for problem in PROBLEMS for name in _columns_of(problem)) - COMMON


def _columns_of(name: str) -> Iterator[str]:
    problem = load_problem(name, ["core.problems"])
    contract = problem.contract
    yield from [*contract.names, contract.label.name, *contract.ignored]
    yield from [feature.name for feature in problem.derived]
    yield from [source.name for source in contract.reduced]


def _texts(module: str) -> set[str]:
    return {
        node.value
        for node in _nodes(module)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def test_the_rules_see_the_code() -> None:
    assert {"app/main.py", "core/cli.py", "serve/http.py", *PROBLEM_FILES} <= set(MODULES)


@pytest.mark.parametrize("module", MODULES)
def test_a_module_is_short(module: str) -> None:
    assert len(_source(module).splitlines()) <= MAX_LINES


@pytest.mark.parametrize("module", [m for m in MODULES if m not in PROBLEM_FILES])
def test_only_a_problems_own_file_knows_its_columns(module: str) -> None:
    words = {*PROBLEMS, *_column_names()} - EVERYDAY
    pattern = "|".join(re.escape(word) for word in sorted(words))
    assert re.findall(rf"\b(?:{pattern})\b", _source(module)) == []
    assert not [name for name in PROBLEMS if name in _source(module).lower()]
    known = {(module, text) for text in _texts(module) & _column_names()}
    assert known <= set(OTHER_MEANING)


@pytest.mark.parametrize(("module", "text"), OTHER_MEANING)
def test_what_is_let_through_is_still_there(module: str, text: str) -> None:
    assert text in _texts(module)


@pytest.mark.parametrize("module", [m for m in MODULES if m != "core/settings.py"])
def test_only_the_settings_read_the_environment(module: str) -> None:
    for node in _nodes(module):
        match node:
            case ast.Attribute(value=ast.Name(id="os"), attr=attr):
                assert attr not in {"environ", "environb", "getenv", "getenvb", "putenv"}
            case ast.ImportFrom(module="os", names=names):
                assert not {name.name for name in names} & {"environ", "getenv"}
            case (
                ast.ImportFrom(module="pydantic_settings")
                | ast.Import(names=[ast.alias(name="pydantic_settings")])
            ):
                pytest.fail("settings are declared in core/settings.py")


@pytest.mark.parametrize("module", MODULES)
def test_nobody_prints(module: str) -> None:
    calls = [node.func for node in _nodes(module) if isinstance(node, ast.Call)]
    assert not [func for func in calls if isinstance(func, ast.Name) and func.id == "print"]
