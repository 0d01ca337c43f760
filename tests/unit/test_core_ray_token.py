from __future__ import annotations

import stat
from pathlib import Path

import pytest

from core.adapters.ray_token import keep_token
from core.errors import SetupError


def test_a_token_is_made_once_and_for_this_user_alone(tmp_path: Path):
    file = tmp_path / "secrets" / "ray.token"
    keep_token(file)
    made = file.read_text()
    keep_token(file)

    assert file.read_text() == made
    assert len(made) >= 64
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert {one.name for one in file.parent.iterdir()} == {"ray.token", ".ray.token.lock"}


def test_two_installations_have_two_tokens(tmp_path: Path):
    first, second = tmp_path / "first", tmp_path / "second"
    keep_token(first)
    keep_token(second)

    assert first.read_text() != second.read_text()


def test_a_token_that_others_may_read_is_refused(tmp_path: Path):
    file = tmp_path / "ray.token"
    keep_token(file)
    file.chmod(0o644)

    with pytest.raises(SetupError, match="Others may read"):
        keep_token(file)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path):
    (tmp_path / "secrets").touch()

    with pytest.raises(SetupError, match="cannot be kept in"):
        keep_token(tmp_path / "secrets" / "ray.token")
