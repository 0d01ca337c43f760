"""Supervisor as the process manager: one daemon per installation, asked over its socket."""

from __future__ import annotations

import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Callable, Mapping
from contextlib import closing
from http.client import HTTPException
from pathlib import Path
from typing import Any, TypeVar

from supervisor.xmlrpc import Faults, SupervisorTransport

from core.errors import SetupError, UnavailableError
from core.services.supervision import ProgramState, SupervisedProgram

_T = TypeVar("_T")
_START_TIMEOUT_S = 20.0
_POLL_S = 0.1


class SupervisorDaemon:
    """Talks to the daemon that listens on ``socket``."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket

    def start(self, config: Path, environment: Mapping[str, str]) -> None:
        """Starts the daemon, which starts every program of ``config``.

        Raises:
            SetupError: the daemon does not come up.
        """
        self._socket.unlink(missing_ok=True)  # left by a daemon that was killed
        done = subprocess.run(
            [sys.executable, "-m", "supervisor.supervisord", "-c", str(config)],
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        deadline = time.monotonic() + _START_TIMEOUT_S
        while done.returncode == 0 and time.monotonic() < deadline:
            if self.programs() is not None:
                return
            time.sleep(_POLL_S)
        said = (done.stderr or done.stdout).strip().splitlines()
        raise SetupError(
            f"The process manager did not start{': ' + said[-1] if said else ''}.",
            fix="Look at logs/supervisord.log in PILOTHOUSE_HOME.",
        )

    def programs(self) -> Mapping[str, SupervisedProgram] | None:
        """Every program by name; ``None`` when no daemon answers."""
        try:
            rows = self._call(lambda server: server.supervisor.getAllProcessInfo())
        except UnavailableError:
            return None
        return {row["name"]: _program_of(row) for row in rows or ()}

    def start_program(self, name: str) -> None:
        """Starts one program; returns before it is up. The daemon may have been faster.

        Raises:
            UnavailableError: the daemon does not answer or refuses.
        """
        self._call(
            lambda server: server.supervisor.startProcess(name, False), fine=Faults.ALREADY_STARTED
        )

    def stop_program(self, name: str) -> None:
        """Stops one program and waits for its end; it may have ended by itself.

        Raises:
            UnavailableError: the daemon does not answer or refuses.
        """
        self._call(
            lambda server: server.supervisor.stopProcess(name, True), fine=Faults.NOT_RUNNING
        )

    def shut_down(self) -> None:
        """Asks the daemon to stop everything; one that is gone already is fine."""
        try:
            self._call(lambda server: server.supervisor.shutdown())
        except UnavailableError:
            return

    def _call(self, ask: Callable[[Any], _T], fine: int | None = None) -> _T | None:
        """Asks the daemon; a refusal with the code ``fine`` is an answer of nothing."""
        transport = SupervisorTransport(serverurl=f"unix://{self._socket}")
        with closing(transport):
            # The host is a formality: the transport goes through the socket.
            server = xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport)
            try:
                return ask(server)
            except xmlrpc.client.Fault as exc:
                if exc.faultCode == fine:
                    return None
                raise UnavailableError(
                    f"The process manager refused: {exc.faultString}.", fix="Run `make up` again."
                ) from exc
            except (OSError, HTTPException, xmlrpc.client.Error) as exc:
                raise UnavailableError(
                    "The process manager does not answer.", fix="Run `make up`."
                ) from exc


def _program_of(row: Mapping[str, Any]) -> SupervisedProgram:
    state = ProgramState(row["statename"])
    running = state in (ProgramState.RUNNING, ProgramState.STARTING)
    return SupervisedProgram(
        name=row["name"],
        state=state,
        uptime_s=float(row["now"] - row["start"]) if running else 0.0,
        remark=row["spawnerr"] or ("" if running else row["description"]),
    )
