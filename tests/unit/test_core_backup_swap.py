"""A restored state takes the place of the one before wholly or not at all, also when killed."""

from __future__ import annotations

import errno
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from core.backup import swap
from core.errors import UnavailableError

OLD = {"pilothouse.db": "old", "mlflow/mlflow.db": "old", "batches/a": "old", "bundles/b": "old"}
NEW = {"pilothouse.db": "new", "mlflow/mlflow.db": "new", "labels/a": "new"}
AWAY = ("batches", "bundles", "mlflow", "pilothouse.db")
ASIDE = "before-restore-1"


class Killed(BaseException):
    """The process is gone; nothing after this runs."""


def _fill(folder: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)


def _files(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in folder.rglob("*")
        if path.is_file() and not path.is_relative_to(folder / "run")
    }


@pytest.fixture
def home(tmp_path: Path) -> Path:
    _fill(tmp_path, {**OLD, "run/lock": ""})
    _fill(swap.begin(tmp_path), NEW)
    return tmp_path


def _at_step(monkeypatch: pytest.MonkeyPatch, number: int, fail: Callable[[], None]) -> list[str]:
    """Lets the so-manieth change of the disk fail; returns the changes that were made."""
    done: list[str] = []

    def guarded(name: str) -> None:
        act = getattr(Path, name)

        def step(path: Path, *given: object, **named: object) -> object:
            if len(done) == number:
                done.append("failed")
                fail()
            done.append(f"{name} {path.name}")
            return act(path, *given, **named)

        monkeypatch.setattr(Path, name, step)

    for name in ("rename", "mkdir", "unlink"):
        guarded(name)
    return done


def _restored() -> dict[str, str]:
    return {**NEW, **{f"{ASIDE}/{name}": content for name, content in OLD.items()}}


def test_what_was_there_is_aside_and_the_new_is_in_place(home: Path) -> None:
    swap.put_in_place(home, ASIDE, AWAY)
    assert _files(home) == _restored()
    assert not (home / ".restore").exists()
    assert not swap.complete_restore(home)


def test_killed_at_any_step_the_home_is_the_one_or_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends, number = [], 0
    while True:
        home = tmp_path / str(number)
        _fill(home, {**OLD, "run/lock": ""})
        _fill(swap.begin(home), NEW)
        with monkeypatch.context() as patched:

            def die() -> None:
                raise Killed

            _at_step(patched, number, die)
            try:
                swap.put_in_place(home, ASIDE, AWAY)
                died = False
            except Killed:
                died = True
        # Whoever comes next.
        if not swap.complete_restore(home):
            swap.forget(home)
        found = _files(home)
        assert found in (OLD, _restored()), number
        ends.append("new" if found == _restored() else "old")
        if not died:
            break
        number += 1
    # First nothing has happened, from the journal on it has; there is no third.
    assert ends == sorted(ends, reverse=True)
    assert ends.count("old") >= 2
    assert ends.count("new") >= 2 + len(AWAY) + len(NEW)


def test_killed_again_while_it_is_completed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fill(tmp_path, OLD)
    _fill(swap.begin(tmp_path), NEW)

    def die() -> None:
        raise Killed

    for number in (6, 2, 1, 0):
        with monkeypatch.context() as patched:
            _at_step(patched, number, die)
            began = swap.is_incomplete(tmp_path)
            with pytest.raises(Killed):
                swap.complete_restore(tmp_path) if began else swap.put_in_place(
                    tmp_path, ASIDE, AWAY
                )
    assert swap.complete_restore(tmp_path)
    assert _files(tmp_path) == _restored()


@pytest.mark.parametrize("number", range(12))
def test_what_cannot_be_moved_leaves_all_as_it_was(
    home: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse() -> None:
        raise OSError(errno.EBUSY, "Device or resource busy", "mlflow")

    with monkeypatch.context() as patched:
        _at_step(patched, number, refuse)
        with pytest.raises(UnavailableError, match="all is as it was"):
            swap.put_in_place(home, ASIDE, AWAY)
    assert _files(home) == OLD
    assert not (home / ".restore").exists()
    assert not (home / ASIDE).exists()


def test_what_a_killed_restore_prepared_goes_with_the_next(home: Path) -> None:
    assert _files(swap.begin(home)) == {}
    assert _files(home) == OLD


def test_an_interrupted_restore_that_cannot_be_completed_says_so(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die() -> None:
        raise Killed

    def refuse() -> None:
        raise OSError(errno.EBUSY, "Device or resource busy", "mlflow")

    with monkeypatch.context() as patched:
        _at_step(patched, 4, die)
        with pytest.raises(Killed):
            swap.put_in_place(home, ASIDE, AWAY)
    with monkeypatch.context() as patched:
        _at_step(patched, 1, refuse)
        with pytest.raises(UnavailableError, match="cannot be completed"):
            swap.complete_restore(home)
    assert swap.complete_restore(home)
    assert _files(home) == _restored()


def test_two_restores_in_a_second_have_two_folders(tmp_path: Path) -> None:
    at = datetime(2026, 11, 22, 3, 4, 5, tzinfo=UTC)
    first = swap.aside_of(tmp_path, at)
    (tmp_path / first).mkdir()
    assert first == "before-restore-20261122T030405Z"
    assert swap.aside_of(tmp_path, at) == f"{first}-2"
