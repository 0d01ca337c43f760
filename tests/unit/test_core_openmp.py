"""The OpenMP runtime that LightGBM wants, lent where the system has none."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from pathlib import Path

import pytest

from core.adapters import openmp
from core.errors import SetupError
from core.services.checks import check_openmp

LENT = """
import ctypes
from pathlib import Path
from core.adapters import openmp

openmp.has_openmp = lambda: False
openmp.lend_openmp()
maps = Path("/proc/self/maps").read_text()
before = maps.count("(deleted)")
ctypes.CDLL("libgomp.so.1")
after = Path("/proc/self/maps").read_text()
assert before and after.count("libgomp") == maps.count("libgomp"), "another one was loaded"
"""


def test_the_bundled_runtime_is_found_under_the_wanted_name() -> None:
    if openmp.bundled_openmp() is None:
        pytest.skip("this scikit-learn brings no runtime")
    done = subprocess.run([sys.executable, "-c", LENT], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_without_any_runtime_the_fix_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openmp, "has_openmp", lambda: False)
    monkeypatch.setattr(openmp, "bundled_openmp", lambda: None)
    with pytest.raises(SetupError, match="libgomp") as refused:
        openmp.lend_openmp()
    assert "apt-get install libgomp1" in refused.value.fix


def test_the_systems_own_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openmp, "has_openmp", lambda: True)
    monkeypatch.setattr(ctypes, "CDLL", None)
    openmp.lend_openmp()


@pytest.mark.parametrize(
    ("has_own", "bundled", "passed"),
    [(True, None, True), (False, Path("libgomp-1.so"), True), (False, None, False)],
)
def test_doctor_says_which_runtime_there_is(
    has_own: bool, bundled: Path | None, passed: bool
) -> None:
    found = check_openmp(has_own, bundled)
    assert found.passed is passed
    assert "libgomp" in found.found
