"""The tour as its user takes it, and what the records of its installation say afterwards."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from core.bootstrap import Pilothouse, connect
from core.deployment.replay import Replay
from core.domain_watching import AlertKind, AlertStatus, Level
from core.promotion.audit import Action, AuditEntry, Chosen, Outcome
from core.promotion.identity import RETRAINER, WORKER
from core.rollout.values import RolloutStatus
from core.settings import CODE_ROOT, Settings, variable_of
from demo.place import PORTS_APART, PROBLEM, demo_settings
from tests.ray_head import free_published_ports

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
        ports = {name: port - PORTS_APART for name, port in free_published_ports().items()}
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


def test_every_step_was_taken_and_told(taken: Taken) -> None:
    said = taken.done.stdout
    for number in range(1, 12):
        assert f"== {number} of 11. " in said
    for command in ("simulate", "rollout canary", "promote rollback", "trace"):
        assert f" $ pilothouse {command} " in said
    assert "\x1b" not in said, "nobody sits at a terminal"
    assert "phu_" not in said, "tokens are kept from the screen"


def test_the_trail_has_the_loop_in_its_order_with_names(taken: Taken) -> None:
    told = [(entry.actor, entry.action) for entry in taken.trail if entry.action in TOLD]
    retrained = [
        (RETRAINER, Action.RUN_STARTED),
        (RETRAINER, Action.REQUEST_OPENED),
    ]
    assert [one for one in told if one not in retrained] == [
        ("eve", Action.RUN_STARTED),
        ("eve", Action.BOOTSTRAPPED),
        ("eve", Action.RUN_STARTED),
        ("eve", Action.REQUEST_OPENED),
        ("eve", Action.DECISION_REFUSED),
        ("ann", Action.APPROVAL_GIVEN),
        ("ann", Action.PROMOTED),
        ("eve", Action.ALERT_ACKNOWLEDGED),
        ("bob", Action.APPROVAL_GIVEN),
        ("bob", Action.ROLLOUT_STARTED),
        ("bob", Action.PROMOTED),
        (WORKER, Action.ROLLOUT_DONE),
        ("bob", Action.ROLLED_BACK),
    ]
    # Between the first promotion and the second approval; the alert may be seen meanwhile.
    assert [one for one in told if one in retrained] == retrained
    assert told.index(("ann", Action.PROMOTED)) < told.index(retrained[0])
    assert told.index(retrained[1]) < told.index(("bob", Action.APPROVAL_GIVEN))


def test_one_may_not_approve_what_one_has_trained(taken: Taken) -> None:
    (refused,) = [e for e in taken.trail if e.action == Action.DECISION_REFUSED]
    assert refused.outcome == Outcome.REFUSED
    assert "somebody else has to approve" in refused.detail
    assert {one.name: one.role.value for one in taken.pilothouse.accounts.list()} == {
        "eve": "admin",
        "ann": "approver",
        "bob": "approver",
    }


def test_what_served_when(taken: Taken) -> None:
    served = [
        (one.version, one.rule, one.decided_by)
        for one in reversed(taken.pilothouse.promotions.history(PROBLEM))
    ]
    assert served == [
        (1, "bootstrap", "eve"),
        (2, "approval", "ann"),
        (3, "approval", "bob"),
        (2, "rollback", "bob"),
    ]
    url = f"{taken.settings.serving_url}/problems/{PROBLEM}"
    assert httpx.get(url, trust_env=False).json()["version"] == 2


def test_drift_was_alerted_and_learned_from(taken: Taken) -> None:
    alerts = taken.pilothouse.alerts.list(PROBLEM)
    (drift,) = [one for one in alerts if one.kind is AlertKind.DRIFT]
    assert drift.severity is Level.CRITICAL
    assert drift.status is AlertStatus.ACKNOWLEDGED
    assert drift.acknowledged_by == "eve"
    runs = taken.pilothouse.database.runs(PROBLEM, 10)
    (run,) = [one for one in runs if one.started_by == RETRAINER]
    assert drift.run_id == run.id
    assert run.model_version == 3
    assert drift.outcome.startswith("v3 ")


def test_the_canary_took_all_steps_and_failed_nobody(taken: Taken) -> None:
    (rollout,) = taken.pilothouse.rollouts.list(PROBLEM)
    assert rollout.status is RolloutStatus.DONE
    assert (rollout.version, rollout.incumbent_version) == (3, 2)
    notes = taken.pilothouse.rollouts.view(rollout).notes
    for step in range(len(rollout.shares)):
        by_new = notes.of(step, 3)
        assert by_new.answered >= taken.pilothouse.params.rollout.canary.minimum_requests
        assert by_new.failed == 0


def test_an_answer_of_the_canary_is_traced_and_the_trail_is_whole(taken: Taken) -> None:
    (request_id,) = re.findall(r"pilothouse trace (\S+) --replay", taken.done.stdout)
    lineage = taken.pilothouse.tracing.trace(request_id, skip=0, replay=True)
    assert lineage.answer.version == 3
    assert isinstance(lineage.replay, Replay)
    assert lineage.replay.same
    assert taken.pilothouse.audit.verify().is_whole
