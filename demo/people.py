"""Who acts in the tour, and how their commands are run."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from core.access.tokens import PREFIX
from core.errors import PilothouseError
from core.kept_files import write_durably
from core.settings import CODE_ROOT, Settings, inherited_environment, variable_of
from demo.relay import Ended, relay
from demo.screen import Screen

#: Settings of one installation must not reach another one.
_OTHERS = ("PILOTHOUSE_", "RAY_")


@dataclass(frozen=True)
class Person:
    """Somebody with an account."""

    name: str
    role: str


EVE = Person("eve", "admin")
ANN = Person("ann", "approver")
BOB = Person("bob", "approver")
PEOPLE = (EVE, ANN, BOB)


class Crew:
    """Runs commands as one person or another, with what they print on the screen."""

    def __init__(self, settings: Settings, screen: Screen) -> None:
        self._settings = settings
        self._screen = screen

    @property
    def folder(self) -> Path:
        """Where the tokens lie, and for each person a file that a shell can read."""
        return self._settings.home / "people"

    def run(self, who: Person | None, line: str) -> Ended:
        """Runs a command, shown before it runs.

        Args:
            who: who runs it; nobody in particular where ``None``.
            line: the command as in a shell.

        Raises:
            PilothouseError: it fails.
        """
        ended = self._run(who, line)
        if ended.status:
            raise PilothouseError(f"The command `{line}` ended with status {ended.status}.")
        return ended

    def is_refused(self, who: Person, line: str) -> Ended:
        """Runs a command that has to be refused.

        Raises:
            PilothouseError: it was not.
        """
        ended = self._run(who, line)
        if not ended.status:
            raise PilothouseError(f"The command `{line}` should have been refused and was not.")
        return ended

    def join(self, who: Person, *, by: Person | None) -> None:
        """Gives somebody an account and lets them renew the token that another has seen.

        Raises:
            PilothouseError: it fails.
        """
        self.folder.mkdir(exist_ok=True, mode=0o700)
        self._keep_token(who, by, f"pilothouse users add {who.name} --role {who.role}")
        if by is not None:
            self._keep_token(who, who, f"pilothouse users token {who.name}")
        self._write_shell_file(who)

    def _keep_token(self, whose: Person, actor: Person | None, line: str) -> None:
        """Runs a command that prints a token, and keeps it from the screen."""
        ended = self._run(actor, line, show=False)
        tokens = [each for each in ended.text.split() if each.startswith(PREFIX)]
        if ended.status or not tokens:
            raise PilothouseError(f"The command `{line}` gave no token: {ended.text.strip()}")
        write_durably(self._token_file(whose), tokens[-1].encode())

    def _run(self, who: Person | None, line: str, *, show: bool = True) -> Ended:
        self._screen.command(who.name if who else "you", line)
        program, *rest = shlex.split(line)
        argv = [str(Path(sys.executable).with_name(program)), *rest]
        return relay(argv, self._environment(who), CODE_ROOT, self._screen, show=show)

    def _environment(self, who: Person | None) -> Mapping[str, str]:
        inherited = inherited_environment().items()
        kept = {name: value for name, value in inherited if not name.startswith(_OTHERS)}
        return {**kept, **self._settings.variables(), **self._signed_in(who)}

    def _signed_in(self, who: Person | None) -> dict[str, str]:
        return {variable_of("token_file"): str(self._token_file(who))} if who else {}

    def _token_file(self, who: Person) -> Path:
        return self.folder / f"{who.name}.token"

    def _write_shell_file(self, who: Person) -> None:
        """So that whoever looks around can act as somebody of the tour."""
        # All of them, so that what is set for another installation does not count here.
        named = self._settings.variables()
        lines = [
            f"export {name}={shlex.quote(value)}\n"
            for name, value in (named | self._signed_in(who)).items()
        ]
        write_durably(self.folder / f"{who.name}.sh", "".join(lines).encode())
