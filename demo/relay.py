"""Runs a command and passes on what it prints while it prints it.

In a terminal the command gets a terminal of its own, as wide as the real one, so that it draws
its tables and bars as for a person. Between its lines the screen can say that it goes on.
"""

from __future__ import annotations

import codecs
import fcntl
import os
import select
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from demo.screen import Screen, without_control

_AT_ONCE = 65536
_TICK_S = 0.5


@dataclass(frozen=True)
class Ended:
    """How a command ended, and all that it printed, without colours."""

    status: int
    text: str


def relay(
    argv: Sequence[str],
    environment: Mapping[str, str],
    folder: Path,
    screen: Screen,
    *,
    show: bool = True,
) -> Ended:
    """Runs a command until it ends.

    Args:
        argv: program and its arguments.
        environment: what it starts from.
        folder: where it runs.
        screen: where it is told.
        show: whether what it prints is passed on.
    """
    terminal = show and screen.is_terminal
    reading, writing = os.openpty() if terminal else os.pipe()
    if terminal:
        size = struct.pack("HHHH", screen.console.height, screen.console.width, 0, 0)
        fcntl.ioctl(writing, termios.TIOCSWINSZ, size)
    began = time.monotonic()
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    said = []
    try:
        with subprocess.Popen(
            argv,
            env=dict(environment),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=writing,
            stderr=writing,
        ) as process:
            os.close(writing)
            while True:
                # Services that it has started may hold its output open: its end is the end.
                is_over = process.poll() is not None
                ready, _, _ = select.select([reading], [], [], 0.0 if is_over else _TICK_S)
                if ready:
                    printed = _read(reading)
                    if not printed:
                        break
                    # Its terminal has turned the ends of lines, as the real one will.
                    said.append(decoder.decode(printed).replace("\r\n", "\n"))
                    if show:
                        screen.pass_on(said[-1])
                elif is_over:
                    break
                else:
                    screen.still(time.monotonic() - began)
    finally:
        os.close(reading)
    return Ended(process.returncode, without_control("".join(said)))


def _read(file: int) -> bytes:
    """What there is; nothing where the other end is closed."""
    try:
        return os.read(file, _AT_ONCE)
    except OSError:  # so a terminal says that nobody writes to it any more
        return b""
