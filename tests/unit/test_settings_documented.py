"""docs/settings.md and the code agree on which settings there are, and each has a reader."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest
from pydantic import SecretStr

from core.settings import CODE_ROOT, Settings

ROW = re.compile(r"^\| `PILOTHOUSE_(\w+)` \| `([^`]*)` \| (.+) \|$", re.MULTILINE)
FIELDS = sorted(Settings.model_fields)
DECLARED = [
    CODE_ROOT / "core" / name
    for name in (
        "settings.py",
        "settings_addresses.py",
        "settings_databases.py",
        "settings_login.py",
        "settings_store.py",
    )
]


def documented() -> dict[str, tuple[str, str]]:
    text = (CODE_ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    return {name.lower(): (default, meaning) for name, default, meaning in ROW.findall(text)}


def attributes_read(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield node.attr


def read_in_code() -> set[str]:
    """Attributes read outside the settings, and the fields behind properties among them."""
    files = [
        file
        for package in ("app", "core", "serve")
        for file in (CODE_ROOT / package).rglob("*.py")
        if file not in DECLARED
    ]
    names = {
        name
        for file in files
        for name in attributes_read(ast.parse(file.read_text(encoding="utf-8")))
    }
    settings = [ast.parse(file.read_text(encoding="utf-8")) for file in DECLARED]
    for node in chain.from_iterable(ast.walk(tree) for tree in settings):
        if isinstance(node, ast.FunctionDef) and node.name in names:
            names |= set(attributes_read(node))
    return names


def shown(default: object) -> str:
    if isinstance(default, Path):
        return f"<code>/{default.relative_to(CODE_ROOT)}"
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, SecretStr):
        return default.get_secret_value()
    return f"{default:g}" if isinstance(default, float) else str(default)


def test_every_setting_is_documented_and_nothing_else_is():
    assert sorted(documented()) == FIELDS


@pytest.mark.parametrize("name", FIELDS)
def test_default_and_meaning_are_those_of_the_code(name):
    field = Settings.model_fields[name]

    assert documented()[name] == (shown(field.default), field.description)


@pytest.mark.parametrize("name", FIELDS)
def test_every_setting_is_read_somewhere(name):
    assert name in read_in_code()
