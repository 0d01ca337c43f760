"""Waits until programs are healthy, and notices early when one never will be."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType

from core.domain_serving import Health
from core.errors import SetupError
from core.services.certificate import own_clients
from core.services.health import http_client
from core.services.layout import Layout
from core.services.programs import Program
from core.services.supervision import ProgramState, SupervisedProgram, Supervisor
from core.settings import Settings

_POLL_S = 0.3
#: A program that dies this often while it is waited for has a reason to.
_MOST_RESTARTS = 3


@dataclass(frozen=True)
class Waiting:
    """One program while it is waited for. ``seconds`` stops when it is healthy."""

    name: str
    is_healthy: bool
    seconds: float


OnWait = Callable[[Sequence[Waiting]], None]


class StartWatch:
    """Sees programs through the process manager and through their own probes."""

    def __init__(self, supervisor: Supervisor, layout: Layout, settings: Settings) -> None:
        self._supervisor = supervisor
        self._layout = layout
        self._http = http_client(verify=own_clients(settings))
        self._pool = ThreadPoolExecutor(4)
        self._uptime_s: dict[str, float] = {}
        self._restarts: dict[str, int] = {}
        self.timeout_s = settings.start_timeout_s

    def __enter__(self) -> StartWatch:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.shutdown()
        self._http.close()

    def unhealthy(self, programs: Sequence[Program]) -> Sequence[Program]:
        """Programs that do not run or do not answer.

        Raises:
            SetupError: the process manager is gone, or a program has given up.
        """
        supervised = self._supervisor.programs()
        if supervised is None:
            raise SetupError(
                "The process manager ended.",
                fix=f"Look at {self._layout.log_of('supervisord')}.",
            )
        looks = self._pool.map(lambda program: program.probe.look(self._http), programs)
        return [
            program
            for program, finding in zip(programs, looks, strict=True)
            if finding.health is not Health.HEALTHY or not _runs(supervised.get(program.name))
        ]

    def require_hope(self, programs: Sequence[Program]) -> None:
        """Stops the waiting when a program will not come up.

        Raises:
            SetupError: a program has given up, or dies again and again.
        """
        supervised = self._supervisor.programs() or {}
        for program in programs:
            found = supervised.get(program.name)
            if found is None:
                continue
            if found.state is ProgramState.FATAL or self._keeps_dying(found):
                raise self.failure(program, "does not start")

    def failure(self, program: Program, what: str) -> SetupError:
        """The error for one program, with the place of its log."""
        return SetupError(
            f"The service {program.name} {what}.",
            fix=f"Its log is {self._layout.log_of(program.name)}.",
        )

    def _keeps_dying(self, found: SupervisedProgram) -> bool:
        before = self._uptime_s.get(found.name, 0.0)
        self._uptime_s[found.name] = found.uptime_s
        if found.uptime_s < before:
            self._restarts[found.name] = self._restarts.get(found.name, 0) + 1
        return self._restarts.get(found.name, 0) >= _MOST_RESTARTS


def wait_for_programs(watch: StartWatch, programs: Sequence[Program], on_wait: OnWait) -> None:
    """Returns when every program is healthy.

    Raises:
        SetupError: one gave up, keeps dying, or took longer than the settings allow.
    """
    began = time.monotonic()
    took_s: dict[str, float] = {}
    while True:
        sick = watch.unhealthy(programs)
        elapsed_s = time.monotonic() - began
        for program in programs:
            if program not in sick:
                took_s.setdefault(program.name, elapsed_s)
        on_wait(_rows(programs, sick, took_s, elapsed_s))
        if not sick:
            return
        watch.require_hope(sick)
        if elapsed_s > watch.timeout_s:
            raise watch.failure(sick[0], f"is not healthy after {watch.timeout_s:.0f} s")
        time.sleep(_POLL_S)


def _rows(
    programs: Sequence[Program],
    sick: Sequence[Program],
    took_s: Mapping[str, float],
    elapsed_s: float,
) -> Sequence[Waiting]:
    return [
        Waiting(program.name, program not in sick, took_s.get(program.name, elapsed_s))
        for program in programs
    ]


def _runs(found: SupervisedProgram | None) -> bool:
    return found is not None and found.state is ProgramState.RUNNING
