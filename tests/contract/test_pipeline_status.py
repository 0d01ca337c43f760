"""What DVC says of a pipeline: in place, never run, or behind."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from core.adapters.dvc_pipeline import outdated_stages
from core.errors import UnavailableError
from core.settings import CODE_ROOT

pytestmark = pytest.mark.timeout(120)
PIPELINE = """stages:
  double:
    foreach: [plums, pears]
    do:
      cmd: cat ${item}.txt ${item}.txt > ${item}.two
      deps: [code, "${item}.txt"]
      outs: ["${item}.two"]
  again:
    foreach: [plums, pears]
    do:
      cmd: cat ${item}.two > ${item}.three
      deps: ["${item}.two"]
      outs: ["${item}.three"]
"""


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline that has run, by DVC's own command line."""
    folder = tmp_path_factory.mktemp("pipeline")
    (folder / "dvc.yaml").write_text(PIPELINE, encoding="utf-8")
    (folder / "code").mkdir()
    (folder / "code" / "a.py").write_text("pass\n", encoding="utf-8")
    for name in ("plums", "pears"):
        (folder / f"{name}.txt").write_text(name, encoding="utf-8")
    tool = str(Path(sys.executable).with_name("dvc"))
    subprocess.run([tool, "init", "--no-scm", "--quiet"], cwd=folder, check=True)
    # As the repository has it.
    shutil.copy(CODE_ROOT / ".dvcignore", folder)
    subprocess.run([tool, "repro", "--quiet"], cwd=folder, check=True)
    return folder


@pytest.fixture
def root(done: Path, tmp_path: Path) -> Path:
    """The same, to be changed."""
    return Path(shutil.copytree(done, tmp_path / "pipeline"))


def test_what_has_run_is_up_to_date(root: Path) -> None:
    assert outdated_stages(root, "again@plums") == ()


def test_what_python_compiles_is_no_change(root: Path) -> None:
    (root / "code" / "__pycache__").mkdir()
    (root / "code" / "__pycache__" / "a.pyc").write_bytes(b"compiled")
    assert outdated_stages(root, "again@plums") == ()


def test_a_change_is_found_through_the_stages_before(root: Path) -> None:
    (root / "plums.txt").write_text("other plums", encoding="utf-8")
    assert outdated_stages(root, "again@plums") == ("double@plums",)
    assert outdated_stages(root, "again@pears") == ()


def test_a_lost_output_is_found(root: Path) -> None:
    (root / "plums.three").unlink()
    assert outdated_stages(root, "again@plums") == ("again@plums",)


def test_without_a_pipeline_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="DVC cannot read the pipeline"):
        outdated_stages(tmp_path, "again@plums")


def test_a_stage_that_does_not_exist_is_an_error(root: Path) -> None:
    with pytest.raises(UnavailableError, match="pips"):
        outdated_stages(root, "again@pips")
