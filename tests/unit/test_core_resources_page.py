"""docs/resources.md and its pictures, as made of the recorded sweep."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from core.errors import InvalidInputError
from core.settings import CODE_ROOT
from core.training import resources_page
from core.training.resources_page import BEGIN, END, read_report, section, with_section
from core.training.sweep_figures import BOOSTING, draw_sweep
from tests.unit.sweep_values import (
    LARGE,
    MIDDLE,
    RECORDED,
    curve_of,
    measured,
    recorded_report,
    stage_of,
    sweep_of,
)

PAGE = CODE_ROOT / "docs" / "resources.md"


def test_the_page_is_what_the_recorded_sweep_gives() -> None:
    """`make resources` writes it; whoever changes the advice runs it again."""
    page = PAGE.read_text(encoding="utf-8")
    assert with_section(page, section(recorded_report())) == page


def test_every_picture_of_the_page_is_there() -> None:
    page = PAGE.read_text(encoding="utf-8")
    names = [part.split(")")[0] for part in page.split("](images/")[1:]]
    assert names
    assert [name for name in names if not (PAGE.parent / "images" / name).is_file()] == []


def test_the_command_writes_page_and_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "resources.md"
    page.write_text(f"# Mine\n{BEGIN}\nyesterday\n{END}\n## Also mine\n", encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["resources_page", str(RECORDED), str(page)])
    assert resources_page.main() == 0
    text = page.read_text(encoding="utf-8")
    assert text.startswith("# Mine\n")
    assert text.endswith("## Also mine\n")
    assert "yesterday" not in text
    for name in (part.split(")")[0] for part in text.split("](images/")[1:]):
        assert (tmp_path / "images" / name).stat().st_size > 5000


@pytest.mark.parametrize(
    ("recorded", "page"), [("{}", f"{BEGIN}{END}"), (None, f"{BEGIN}{END}"), ("good", "no marks")]
)
def test_what_cannot_be_written_leaves_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recorded: str | None, page: str
) -> None:
    target, source = tmp_path / "resources.md", tmp_path / "sweep.json"
    target.write_text(page, encoding="utf-8")
    if recorded is not None:
        good = sweep_of(measured()).model_dump_json()
        source.write_text(good if recorded == "good" else recorded, encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["resources_page", str(source), str(target)])
    assert resources_page.main() == 1
    assert target.read_text(encoding="utf-8") == page


def test_a_file_that_is_no_report_is_named(tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    path.write_bytes(b"\xff")
    with pytest.raises(InvalidInputError, match=r"other\.json"):
        read_report(path)


def test_an_oversubscribed_profile_and_a_bar_in_a_name_are_shown() -> None:
    stages = (stage_of(description="a|b", skew=None),)
    text = section(
        sweep_of(measured(MIDDLE), measured(LARGE, slowest=stages, seconds=5), physical_cores=2)
    )
    assert "| 4c-4g (oversubscribed) |" in text
    assert "| a/b | 2.00 s | 4 | - |" in text


def test_boosting_is_drawn_where_it_was_measured(tmp_path: Path) -> None:
    draw_sweep(sweep_of(measured()), tmp_path)
    assert not (tmp_path / BOOSTING).exists()
    draw_sweep(sweep_of(measured(), boosting=curve_of(3, 0.8, 0.9)), tmp_path)
    assert (tmp_path / BOOSTING).exists()
