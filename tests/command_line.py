"""What the command line offers."""

from __future__ import annotations

from collections.abc import Iterator

import typer
from typer.core import TyperGroup

from core import cli


def every_command() -> set[str]:
    """Each command as it is typed, such as ``promote approve``."""
    return set(_below(typer.main.get_command(cli.app), ()))


def _below(group: object, above: tuple[str, ...]) -> Iterator[str]:
    if not isinstance(group, TyperGroup):
        yield " ".join(above)
        return
    for name, command in group.commands.items():
        yield from _below(command, (*above, name))
