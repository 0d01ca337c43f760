"""Versions that have served well, kept apart from what was fetched."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from core.errors import NotFoundError, TrainingError
from core.scoring.bundle import FACTS_FILE, MODEL_FILE, Bundle, BundleRef
from core.scoring.good_models import KEPT, LIST_FILE, GoodModels
from tests.unit.core_fakes import facts_of


def _bundle(number: int) -> Bundle:
    model = f"weights {number}".encode()
    facts = facts_of("run", model_sha256=hashlib.sha256(model).hexdigest())
    return Bundle(model, facts.model_dump_json().encode(), facts)


def _ref(number: int, sha256: str = "") -> BundleRef:
    return BundleRef(problem="plums", version=number, url=f"http://r/{number}", sha256=sha256)


@pytest.fixture
def good(tmp_path: Path) -> GoodModels:
    return GoodModels(tmp_path / "good")


def test_the_newest_come_first_and_the_oldest_go(good: GoodModels, tmp_path: Path) -> None:
    assert good.list("plums") == ()
    for number in range(1, KEPT + 3):
        good.keep(_ref(number), _bundle(number))
    newest_first = list(range(KEPT + 2, 2, -1))
    assert [ref.version for ref in good.list("plums")] == newest_first
    for ref in good.list("plums"):
        assert good.read(ref) == _bundle(ref.version)
    folders = [path for path in (tmp_path / "good" / "plums").iterdir() if path.is_dir()]
    assert len(folders) == KEPT


def test_one_that_serves_again_is_the_newest_again(good: GoodModels) -> None:
    for number in (1, 2, 1):
        good.keep(_ref(number), _bundle(number))
    assert [ref.version for ref in good.list("plums")] == [1, 2]


def test_a_list_is_not_written_twice(good: GoodModels, tmp_path: Path) -> None:
    good.keep(_ref(1), _bundle(1))
    file = tmp_path / "good" / "plums" / LIST_FILE
    before = file.stat().st_ino
    good.keep(_ref(1), _bundle(1))
    assert file.stat().st_ino == before


@pytest.mark.parametrize("name", [MODEL_FILE, FACTS_FILE])
def test_a_damaged_copy_is_no_copy_and_is_renewed(
    good: GoodModels, tmp_path: Path, name: str
) -> None:
    good.keep(_ref(1), _bundle(1))
    (copy,) = (tmp_path / "good").rglob(name)
    copy.write_bytes(b"damaged")
    (ref,) = good.list("plums")
    with pytest.raises(TrainingError):
        good.read(ref)
    assert good.find(_ref(1)) is None
    good.keep(_ref(1), _bundle(1))
    assert good.find(_ref(1)) == _bundle(1)


def test_only_exactly_what_is_wanted_is_found(good: GoodModels) -> None:
    good.keep(_ref(1), _bundle(1))
    decided = _bundle(1).sha256
    assert good.find(_ref(1)) == _bundle(1)
    assert good.find(_ref(1, decided)) == _bundle(1)
    # MLflow may have moved to another port since.
    moved = _ref(1, decided).model_copy(update={"url": "http://elsewhere/1"})
    assert good.find(moved) == _bundle(1)
    assert good.find(moved.model_copy(update={"sha256": ""})) is None
    assert good.find(_ref(1, "0" * 64)) is None
    assert good.find(_ref(2, decided)) is None


def test_a_list_that_cannot_be_read_is_begun_anew(good: GoodModels, tmp_path: Path) -> None:
    good.keep(_ref(1), _bundle(1))
    (tmp_path / "good" / "plums" / LIST_FILE).write_text("{")
    assert good.list("plums") == ()
    good.keep(_ref(2), _bundle(2))
    assert [ref.version for ref in good.list("plums")] == [2]


def test_a_copy_that_is_gone_is_not_found(good: GoodModels) -> None:
    with pytest.raises(NotFoundError):
        good.read(_ref(1, "0" * 64))
