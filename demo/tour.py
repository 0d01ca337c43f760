"""How a tour goes: one step after the other, each with what it has to come to."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

from core.bootstrap import Pilothouse, connect
from core.domain import Promotion, PromotionRequest
from core.errors import PilothouseError
from core.settings import Settings
from demo.people import Crew
from demo.place import PROBLEM
from demo.screen import Screen
from demo.traffic import Answered

POLL_S = 1.0
_Found = TypeVar("_Found")


class Tour:
    """Screen, people and records of one tour; steps act on it.

    People act by commands alone. What has come of it is read from the records themselves: a
    command that is asked every second would take the cores that the tour needs.
    """

    def __init__(self, settings: Settings, screen: Screen) -> None:
        self.settings = settings
        self.screen = screen
        self.crew = Crew(settings, screen)
        #: What callers were answered while a canary was on its way.
        self.answers: Sequence[Answered] = ()

    @cached_property
    def records(self) -> Pilothouse:
        """The installation, to be read."""
        return connect(self.settings)

    def wait_for(self, what: str, look: Callable[[], _Found | None]) -> _Found:
        """Looks until there is something, for as long as a service may take to start.

        Raises:
            PilothouseError: there is nothing until then.
        """
        began, timeout_s = time.monotonic(), self.settings.start_timeout_s
        while (found := look()) is None:
            waited_s = time.monotonic() - began
            expect(waited_s < timeout_s, f"There is still no {what} after {timeout_s:g} s.")
            self.screen.still(waited_s, f"waiting for {what}")
            time.sleep(POLL_S)
        return found

    def serving(self, version: int | None = None) -> Promotion:
        """What is Production and answers, once it does.

        Raises:
            PilothouseError: it does not come to answer, or another version is Production.
        """
        name = "Production" if version is None else f"answer of v{version}"
        found = self.wait_for(name, self._answering)
        if version is not None:
            expect(
                found.version == version,
                f"v{found.version} is Production and v{version} should be.",
            )
        return found

    def _answering(self) -> Promotion | None:
        recorded = self.records.promotions.production(PROBLEM)
        if recorded is None or recorded.live_at is None:
            return None
        served = {one.problem: one.version for one in self.records.serving.status().served}
        return recorded if served.get(PROBLEM) == recorded.version else None

    def candidate(self, run_id: str) -> PromotionRequest:
        """The open request for the version of a run, with its gates on the screen.

        Raises:
            PilothouseError: there is none.
        """

        def open_request() -> PromotionRequest | None:
            found = self.records.promotions.requests(PROBLEM, open_only=True)
            return next((one for one in found if one.run_id == run_id), None)

        request = self.wait_for(f"request of run {run_id[:8]}", open_request)
        self.screen.table(
            f"v{request.version} waits. It was held against v{request.incumbent_version}:",
            ["gate", "says", "because"],
            [
                (f"{gate.gate}{' (hard)' if gate.hard else ''}", gate.verdict.value, gate.reason)
                for gate in request.gates
            ],
        )
        return request


def expect(holds: bool, otherwise: str) -> None:
    """Goes on only where a step came out as it should.

    Raises:
        PilothouseError: it did not.
    """
    if not holds:
        raise PilothouseError(otherwise)


@dataclass(frozen=True)
class Step:
    """One station of the tour."""

    title: str
    who: str
    words: str
    #: Does it, and says in a few words what came of it.
    act: Callable[[Tour], str]


@dataclass(frozen=True)
class Taken:
    """A step that is behind."""

    step: Step
    outcome: str
    seconds: float


def walk(tour: Tour, steps: Sequence[Step]) -> list[Taken]:
    """Takes the steps.

    Raises:
        PilothouseError: one did not come out as it should; the message names it.
    """
    taken = []
    for number, step in enumerate(steps, start=1):
        began = time.monotonic()
        tour.screen.step(number, len(steps), step.title, step.words)
        try:
            outcome = step.act(tour)
        except PilothouseError as exc:
            raise PilothouseError(
                f"Step {number} of {len(steps)}, {step.title}: {exc.message}", fix=exc.fix
            ) from exc
        taken.append(Taken(step, outcome, time.monotonic() - began))
    return taken


def table_of(taken: Sequence[Taken]) -> list[tuple[str, str, str, str]]:
    """The steps as rows: what was done, by whom, what came of it, and how long it took."""
    rows = [(one.step.title, one.step.who, one.outcome, duration(one.seconds)) for one in taken]
    return [*rows, ("all of it", "", "", duration(sum(one.seconds for one in taken)))]


def duration(seconds: float) -> str:
    """``43 s`` or ``2 min 5 s``."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
