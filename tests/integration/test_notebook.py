"""The notebook runs from its first cell to its last, and stays outside the product."""

from __future__ import annotations

import ast
import os
import tomllib
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from core.settings import CODE_ROOT

NOTEBOOK = CODE_ROOT / "notebooks" / "exploration.ipynb"
CELL_TIMEOUT_S = 240


@pytest.fixture(scope="module")
def notebook() -> nbformat.NotebookNode:
    return nbformat.read(NOTEBOOK, as_version=4)


def test_no_output_is_kept_in_git(notebook: nbformat.NotebookNode) -> None:
    kept = [one for one in notebook.cells if one.get("outputs") or one.get("execution_count")]
    assert kept == []
    nbformat.validate(notebook)


@pytest.mark.timeout(600)
def test_every_cell_runs_and_the_last_day_has_drifted(
    notebook: nbformat.NotebookNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The kernel takes the environment of this process: these sources, and no settings of anybody.
    inherited = os.environ.get("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(CODE_ROOT), inherited])))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("PILOTHOUSE_HOME", str(tmp_path / "home"))
    client = NotebookClient(
        notebook,
        timeout=CELL_TIMEOUT_S,
        kernel_name="python3",
        resources={"metadata": {"path": str(tmp_path)}},
    )
    executed = client.execute()
    told = executed.cells[-1].outputs[0].data["text/plain"]
    assert ast.literal_eval(told) == {1: "ok", 10: "critical"}
    # It looks at data and starts nothing.
    assert not (tmp_path / "home").exists()


def test_neither_wheel_nor_image_has_it() -> None:
    project = tomllib.loads((CODE_ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packages = project["tool"]["setuptools"]["packages"]["find"]["include"]
    assert packages == ["app*", "core*", "serve*"]
    sent = (CODE_ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert "*" in sent
    assert not [line for line in sent if line.startswith("!") and "notebooks" in line]


def test_the_product_never_asks_for_jupyter() -> None:
    names = {"notebooks", "reporting", "nbclient", "nbformat", "ipykernel", "IPython"}
    asked = set()
    for package in ("app", "core", "serve"):
        for path in sorted((CODE_ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Import):
                    asked |= {alias.name.partition(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and node.module:
                    asked.add(node.module.partition(".")[0])
    assert "core" in asked
    assert asked & names == set()
