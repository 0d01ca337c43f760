"""What has to hold before a program that is started by itself may start."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import SetupError
from core.settings import CODE_ROOT
from core.start_check import main, require_filled

EXAMPLES = CODE_ROOT / "deploy" / "kuberay" / "overlays" / "example" / "secrets.example"


def secret(folder: Path, text: str) -> Path:
    file = folder / "secret"
    file.write_text(text, encoding="utf-8")
    return file


def test_a_chosen_secret_is_let_through(tmp_path: Path) -> None:
    require_filled([secret(tmp_path, "4f1c")])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("\n", "is empty"),
        ("CHANGE-ME", "placeholder"),
        ("postgresql://me:CHANGE-ME@db/x", "placeholder"),
        ("4f1c\n", "line break"),
        (" 4f1c", "blank"),
    ],
)
def test_what_nobody_has_chosen_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(SetupError, match=said):
        require_filled([secret(tmp_path, text)])


def test_a_secret_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="cannot be read"):
        require_filled([tmp_path / "secret"])


def test_every_example_is_refused() -> None:
    examples = sorted(EXAMPLES.iterdir())
    assert len(examples) == 7
    for example in examples:
        with pytest.raises(SetupError, match="placeholder"):
            require_filled([example])


def test_it_says_why_and_never_the_secret(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(secret(tmp_path, "hush CHANGE-ME"))]) == 1
    said = capsys.readouterr().err
    assert "placeholder" in said
    assert "hush" not in said


def test_an_open_door_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PILOTHOUSE_HOME", str(tmp_path))
    monkeypatch.setenv("PILOTHOUSE_HOST", "0.0.0.0")
    file = str(secret(tmp_path, "4f1c"))

    assert main([file]) == 0
    assert main(["--door", file]) == 1
    assert "Nobody has to sign in" in capsys.readouterr().err
    monkeypatch.setenv("PILOTHOUSE_ALLOW_OPEN", "true")
    assert main(["--door", file]) == 0
