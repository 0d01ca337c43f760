"""What DVC says of a pipeline: in place, never run, or behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.adapters.dvc_pipeline import outdated_stages
from core.errors import UnavailableError

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


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A pipeline that has run."""
    from dvc.repo import Repo

    (tmp_path / "dvc.yaml").write_text(PIPELINE, encoding="utf-8")
    (tmp_path / ".dvcignore").write_text("__pycache__/\n", encoding="utf-8")
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "a.py").write_text("pass\n", encoding="utf-8")
    for name in ("plums", "pears"):
        (tmp_path / f"{name}.txt").write_text(name, encoding="utf-8")
    Repo.init(str(tmp_path), no_scm=True).close()
    with Repo(str(tmp_path)) as repo:
        repo.reproduce()
    return tmp_path


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
