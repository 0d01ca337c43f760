"""What the tour says: boxes and a clock in a terminal, plain lines where there is none."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Sequence
from typing import TextIO

from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

#: Columns where there is no terminal to ask; tables of commands are wider.
PLAIN_WIDTH = 100
#: Silence after which it is said that something goes on: in a terminal, and in a file.
SILENCE_S = 2.0
PLAIN_SILENCE_S = 10.0
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_CLEAR_LINE = "\r\x1b[2K"


def without_control(text: str) -> str:
    """What a terminal shows, without colours and the moves of its cursor."""
    return _CONTROL.sub("", text)


class Screen:
    """Where the tour is told. What commands print is passed on as it is."""

    def __init__(self, file: TextIO | None = None) -> None:
        self._file = file or sys.stdout
        self.console = Console(file=self._file, highlight=False)
        self.is_terminal = self.console.is_terminal
        if not self.is_terminal:
            self.console.width = PLAIN_WIDTH
        self._at_line_start = True
        self._clock_shown = False
        self._told_at = time.monotonic()

    def step(self, number: int, count: int, title: str, words: str) -> None:
        """Says what comes next, and what it is for."""
        title = f"{number} of {count}. {title}"
        self._begin()
        self.console.print()
        if self.is_terminal:
            self.console.print(Panel(Text(words), title=f"[bold]{title}", title_align="left"))
        else:
            self.console.print(f"== {title}", markup=False)
            self.console.print(words, markup=False)

    def command(self, who: str, line: str) -> None:
        """Shows a command before it runs, and who runs it."""
        self._begin()
        self.console.print()
        self.console.print(Text.assemble((f"{who} $ ", "bold green"), line), soft_wrap=True)

    def say(self, text: str, style: str = "") -> None:
        """Says something between commands."""
        self._begin()
        self.console.print(Text(text, style=style))

    def table(self, title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Shows rows."""
        self._begin()
        table = Table(title=title, title_justify="left")
        for name in header:
            # Nothing that is to be read is cut off.
            table.add_column(name, overflow="fold")
        for row in rows:
            table.add_row(*(Text(cell) for cell in row))
        self.console.print()
        self.console.print(table)

    def pass_on(self, text: str) -> None:
        """Writes what a command has printed."""
        self._begin()
        self._file.write(text)
        self._file.flush()
        shown = without_control(text)
        # A bar that a command draws by itself leaves the cursor within its line.
        self._at_line_start = shown.endswith(("\n", "\r")) if shown else self._at_line_start

    def still(self, seconds: float, what: str = "") -> None:
        """Says that something goes on, if nothing was said for a while.

        Args:
            seconds: for how long it has gone on.
            what: what is waited for.
        """
        silent_s = time.monotonic() - self._told_at
        told = f"  … {seconds:.0f} s {what}".rstrip()
        if self.is_terminal and silent_s >= SILENCE_S and self._at_line_start:
            self._file.write(f"{_CLEAR_LINE}{told[: self.console.width - 1]}")
            self._file.flush()
            self._clock_shown = True
        elif not self.is_terminal and silent_s >= PLAIN_SILENCE_S:
            self.say(told)

    def _begin(self) -> None:
        """Before anything is written: takes the clock away."""
        if self._clock_shown:
            self._file.write(_CLEAR_LINE)
            self._clock_shown = False
        self._told_at = time.monotonic()
