"""How commands speak: tables for people, one JSON document for machines."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import BaseModel
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from core.errors import InvalidInputError, PilothouseError

FAILED = 1
#: Columns where there is no terminal to ask: wide enough for a table of runs.
PIPED_WIDTH = 160
CONSOLE = Console()
if not CONSOLE.is_terminal:
    CONSOLE.width = PIPED_WIDTH
ERRORS = Console(stderr=True, soft_wrap=True)
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


def print_json(value: object) -> None:
    """Prints one JSON document."""
    typer.echo(json.dumps(_plain(value), indent=2))


def print_table(title: str, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Prints rows for people, or that there are none."""
    if not rows:
        CONSOLE.print(f"{title}: none", markup=False)
        return
    table = Table(*header, title=escape(title), title_justify="left")
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else _text(cell) for cell in row))
    CONSOLE.print(table)


def say_error(error: Exception, log: str = "") -> None:
    """Prints a failure as one sentence with its fix, and every offence.

    ``log`` is where the trace of an unexpected one is; empty where it could not be written.
    """
    if isinstance(error, PilothouseError):
        sentence = f"[red]{escape(error.message)}[/red] {escape(error.fix)}"
        ERRORS.print(sentence.strip(), highlight=False)
    else:
        told = f"The trace is in {log}." if log else f"{error}. Its trace could not be written."
        ERRORS.print(
            f"[red]An unexpected {type(error).__name__}.[/red] {escape(told)}", highlight=False
        )
    if isinstance(error, InvalidInputError):
        for offence in error.offences:
            where = "" if offence.row is None else f" in row {offence.row}"
            ERRORS.print(f"  {offence.field}{where}: {offence.problem}", markup=False)


def _text(cell: object) -> Text:
    # Text, because square brackets in what people wrote are not rich's markup.
    if cell is None:
        return Text()
    if isinstance(cell, datetime):
        return Text(f"{cell:%Y-%m-%d %H:%M} UTC")
    return Text(f"{cell:.4f}" if isinstance(cell, float) else str(cell))


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        return {field.name: _plain(getattr(value, field.name)) for field in fields}
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, Path) else value
