"""The tour as its user takes it, and what the records of its installation say afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from core.bootstrap import Pilothouse, connect
from core.domain import AlertKind, AlertStatus, Level
from core.promotion.audit import Action, AuditEntry, Chosen, Outcome
from core.promotion.identity import RETRAINER
from core.rollout.values import RolloutStatus
from core.settings import CODE_ROOT, Settings, variable_of
from demo.place import PORTS, PORTS_APART, PROBLEM, demo_settings
from tests.ray_head import free_ports

TOUR_TIMEOUT_S = 1500
DOWN_TIMEOUT_S = 180
pytestmark = [pytest.mark.long, pytest.mark.timeout(TOUR_TIMEOUT_S + 300)]
#: What shows the loop, in its order; steps of batches, checks and labels are left out.
TOLD = (
    Action.RUN_STARTED,
    Action.BOOTSTRAPPED,
    Action.REQUEST_OPENED,
    Action.DECISION_REFUSED,
    Action.APPROVAL_GIVEN,
    Action.PROMOTED,
    Action.ALERT_ACKNOWLEDGED,
    Action.ROLLOUT_STARTED,
    Action.ROLLOUT_DONE,
    Action.ROLLED_BACK,
)


@dataclass(frozen=True)
class Taken:
    """A tour that was taken, what it printed, and its installation."""

    done: subprocess.CompletedProcess[str]
    settings: Settings
    pilothouse: Pilothouse

    @property
    def trail(self) -> list[AuditEntry]:
        """The audit trail of the problem, oldest first."""
        rows = self.pilothouse.audit.list(None, Chosen(problem=PROBLEM))
        return [row.entry for row in reversed(rows)]


def take(
    environment: Mapping[str, str], *words: str, timeout_s: float
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "demo", *words],
        cwd=CODE_ROOT,
        env={**os.environ, **environment, "PYTHONPATH": str(CODE_ROOT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout_s,
        check=False,
    )


@pytest.fixture(scope="module")
def taken() -> Iterator[Taken]:
    with tempfile.TemporaryDirectory(prefix="pilothouse-") as folder:
        ports = {
            name: port - PORTS_APART
            for name, port in zip(PORTS, free_ports(len(PORTS)), strict=True)
        }
        given: dict[str, object] = {"home": Path(folder), **ports}
        beside = Settings().model_copy(update=given)
        environment = {variable_of(name): str(value) for name, value in given.items()}
        settings = demo_settings(beside)
        try:
            done = take(environment, timeout_s=TOUR_TIMEOUT_S)
            assert done.returncode == 0, done.stdout[-8000:]
            yield Taken(done, settings, connect(settings))
        finally:
            down = take(environment, "--down", timeout_s=DOWN_TIMEOUT_S)
            assert down.returncode == 0, down.stdout
            assert not settings.home.exists()


def test_the_trail_has_the_loop_in_its_order_with_names(taken: Taken) -> None:
    told = [(entry.actor, entry.action) for entry in taken.trail if entry.action in TOLD]
    assert told == []
