"""Brings an installation up and down; both may be repeated, and a broken one is repaired."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from enum import Enum

from core.backup.swap import complete_restore
from core.errors import SetupError
from core.services import doctor, ports
from core.services.alone import alone
from core.services.checks import require
from core.services.environment import service_environment
from core.services.foreground import launch_at, make_launch, prepare_head
from core.services.layout import Layout
from core.services.processes import end_tagged, tagged_processes
from core.services.programs import Program, ProgramTable, default_programs
from core.services.supervision import (
    ProgramState,
    SupervisedProgram,
    Supervisor,
    config_text,
    fingerprint,
)
from core.services.waiting import OnWait, StartWatch, wait_for_programs
from core.settings import Settings

_STOP_TIMEOUT_S = 90.0
_POLL_S = 0.3
#: A session holds Ray's logs; older ones only fill the disk.
_SESSIONS_KEPT = 3
_ENDED = frozenset(
    {ProgramState.STOPPED, ProgramState.EXITED, ProgramState.FATAL, ProgramState.UNKNOWN}
)


class Outcome(Enum):
    """What ``up`` found and did."""

    STARTED = "started"
    REPAIRED = "repaired"
    ALREADY_UP = "already up"


class ServiceManager:
    """Starts, repairs and stops the programs of one installation."""

    def __init__(
        self,
        settings: Settings,
        layout: Layout,
        supervisor: Supervisor,
        environment: Mapping[str, str],
        table: ProgramTable = default_programs,
    ) -> None:
        self._settings = settings
        self._layout = layout
        self._supervisor = supervisor
        self._environment = environment
        self._table = table

    def up(self, say: Callable[[str], None], on_wait: OnWait) -> Outcome:
        """Makes every program healthy and returns when all are.

        Args:
            say: told each step in one sentence.
            on_wait: told at every poll where each program stands.

        Raises:
            SetupError: the machine is not fit, or a program does not start.
            PortTakenError: another program listens on a published port.
            ConflictError: another command starts or stops services just now.
        """
        self._layout.prepare()
        with alone(self._layout):
            complete_restore(self._layout.home)
            watch = self._repaired(say, on_wait)
            if watch is not None:
                return watch
            self._start_afresh(say, on_wait)
            return Outcome.STARTED

    def down(self) -> int:
        """Stops everything this installation started, and nothing else.

        Returns:
            How many processes there were.

        Raises:
            SetupError: a process does not end.
            ConflictError: another command starts or stops services just now.
        """
        try:
            has_run = self._layout.run.is_dir()
        except PermissionError as exc:
            raise SetupError(
                f"The installation in {self._layout.home} belongs to another user.",
                fix="Call this as that user, or set PILOTHOUSE_HOME.",
            ) from exc
        if not has_run:
            return end_tagged(self._layout)
        with alone(self._layout):
            return self._stop()

    def _repaired(self, say: Callable[[str], None], on_wait: OnWait) -> Outcome | None:
        """Repairs what runs; ``None`` when a fresh start is needed."""
        running = self._supervisor.programs()
        kept = ports.read_ports(self._layout.ports_file)
        if running is None or kept is None:
            return None
        launch = launch_at(kept, self._settings, self._layout, self._environment)
        programs = self._table(launch)
        if not self._has_fingerprint(fingerprint(launch, config_text(launch, programs))):
            say("Settings have changed since the services were started: starting them anew.")
            return None
        with StartWatch(self._supervisor, self._layout, self._settings) as watch:
            sick = watch.unhealthy(programs)
            if not sick:
                return Outcome.ALREADY_UP
            say(f"Repairing {', '.join(program.name for program in sick)}.")
            for program in sick:
                self._revive(running.get(program.name), program)
            try:
                wait_for_programs(watch, programs, on_wait)
            except SetupError:
                say("That did not help: starting everything anew.")
                return None
        return Outcome.REPAIRED

    def _revive(self, found: SupervisedProgram | None, program: Program) -> None:
        """Starts what ended, restarts what runs long enough to be considered hung."""
        if found is None or found.state in _ENDED:
            self._supervisor.start_program(program.name)
        elif found.uptime_s > self._settings.start_timeout_s:
            self._supervisor.stop_program(program.name)
            self._supervisor.start_program(program.name)

    def _start_afresh(self, say: Callable[[str], None], on_wait: OnWait) -> None:
        ended = self._stop()
        if ended:
            say(f"Ended {ended} processes of an earlier start.")
        require(doctor.machine_checks(self._settings, self._layout, services_run=False))
        ports.require_free(self._settings)
        launch = make_launch(self._settings, self._layout, self._environment)
        programs = self._table(launch)
        ports.keep_ports(self._layout.ports_file, launch.ports)
        if not self._settings.ray_address:
            prepare_head(launch)
        config = config_text(launch, programs)
        self._layout.supervisor_config.write_text(config, encoding="utf-8")
        # Secrets are part of what it is made of.
        self._layout.fingerprint_file.touch(mode=0o600)
        self._layout.fingerprint_file.write_text(fingerprint(launch, config), encoding="utf-8")
        say(f"Starting {', '.join(program.name for program in programs)}.")
        self._supervisor.start(
            self._layout.supervisor_config, service_environment(launch, self._environment)
        )
        with StartWatch(self._supervisor, self._layout, self._settings) as watch:
            wait_for_programs(watch, programs, on_wait)

    def _stop(self) -> int:
        """Stops the daemon, which stops its programs; then ends what is left."""
        count = len(tagged_processes(self._layout))
        if self._supervisor.programs() is not None:
            self._supervisor.shut_down()
            deadline = time.monotonic() + _STOP_TIMEOUT_S
            while tagged_processes(self._layout) and time.monotonic() < deadline:
                if self._supervisor.programs() is None:
                    break  # the daemon is gone, so what is left will not end by itself
                time.sleep(_POLL_S)
        count = max(count, end_tagged(self._layout))
        self._tidy()
        return count

    def _tidy(self) -> None:
        """Removes what would look alive at the next start, and old sessions of Ray."""
        layout = self._layout
        stale = (
            layout.supervisor_socket,
            layout.supervisor_pid,
            layout.fingerprint_file,
            layout.worker_heartbeat,
        )
        for file in stale:
            file.unlink(missing_ok=True)
        sessions = sorted(layout.ray_temp.glob("session_2*"), reverse=True)
        for session in sessions[_SESSIONS_KEPT:]:
            shutil.rmtree(session, ignore_errors=True)

    def _has_fingerprint(self, wanted: str) -> bool:
        try:
            return self._layout.fingerprint_file.read_text(encoding="utf-8") == wanted
        except OSError:
            return False
