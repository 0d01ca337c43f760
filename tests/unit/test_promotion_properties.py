"""Whatever is decided, by whom, at once or with a process killed at any step: it ends whole."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from core.adapters.database_decisions import DecisionRecords
from core.adapters.mlflow_registry import PRODUCTION, STAGING
from core.bootstrap import Pilothouse
from core.domain import PromotionRequest, RequestStatus
from core.errors import PilothouseError
from core.promotion.audit import Action
from tests.unit.lifecycle import NAME, Killed, Lifecycle, lifecycle

REASON = "because it is better"
PEOPLE = st.sampled_from(["ann", "bob", "eve", "joe"])
#: More than any decision has.
MOST_STEPS = 40
PROMOTING = (
    Action.PROMOTED,
    Action.BOOTSTRAPPED,
    Action.ROLLED_BACK,
    Action.DECISION_UNDONE,
)
ENDING = {
    RequestStatus.REJECTED: Action.REQUEST_REJECTED,
    RequestStatus.SUPERSEDED: Action.REQUEST_SUPERSEDED,
    RequestStatus.STALE: Action.REQUEST_STALE,
    RequestStatus.APPROVED: Action.PROMOTED,
}


def records_of(process: Pilothouse) -> DecisionRecords:
    return DecisionRecords(process.database, process.audit)


def settle(life: Lifecycle) -> Pilothouse:
    """A worker that nobody kills: it sees, and at its second beat takes back."""
    life.reaper.spared = None
    worker = life.process()
    for _ in range(3):
        life.beat(worker)
    return worker


def require_whole(life: Lifecycle, worker: Pilothouse) -> None:
    """What always holds once a worker has beaten."""
    records = records_of(worker)
    record, requests = records.promotions(NAME), records.requests(NAME)
    recorded = record[0].version if record else None
    aliases = life.registry.aliases(NAME)
    waiting = [one for one in requests if one.status is RequestStatus.OPEN]
    assert len(waiting) <= 1
    states = {v.version: v.tags["promotion_state"] for v in life.registry.list(NAME)}

    # Exactly one Production version, served as recorded, under the alias of the record.
    assert [v for v, state in states.items() if state == "production"] == (
        [recorded] if recorded else []
    )
    assert aliases.get(PRODUCTION) == recorded
    assert life.replicas.answers.get(NAME) == recorded
    assert aliases.get(STAGING) == (waiting[0].version if waiting else None)
    for older in {one.version for one in record[1:]} - {recorded, aliases.get(STAGING)}:
        assert states.get(older, "archived") == "archived"
    if record:
        assert record[0].live_at is not None

    # Nothing half decided.
    assert records.unfinished().problems == ()
    approved = [one.id for one in requests if one.status is RequestStatus.APPROVED]
    promoted = [one.request_id for one in record if one.rule == "approval"]
    assert sorted(approved) == sorted(promoted)
    for one in approved:
        assert len(records.approvals(one)) >= life.approvals_required
    assert worker.database.unconsidered_runs() == ()

    # The chain is unbroken, and has a row for each decision and no other.
    assert worker.audit.verify().findings == ()
    told = Counter(str(row.entry.action) for row in worker.audit.list(None))
    assert sum(told[action] for action in PROMOTING) == len(record)
    assert told[Action.REQUEST_OPENED] == len(requests)
    ended = Counter(one.status for one in requests)
    for status, action in ENDING.items():
        assert told[action] == ended[status]
    given = sum(len(records.approvals(one.id)) for one in requests)
    assert told[Action.APPROVAL_GIVEN] == given


class Decisions(RuleBasedStateMachine):
    """Random sequences; every action may be cut off by the death of its process."""

    approvals_required = 1

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="lifecycle-"))
        self.stack = ExitStack()
        self.life = self.stack.enter_context(lifecycle(self.folder, self.approvals_required))
        self.panel = self.life.process()

    def teardown(self) -> None:
        self.stack.close()
        shutil.rmtree(self.folder)

    @initialize()
    def first(self) -> None:
        self.life.train(self.panel)

    def attempt(self, act: Callable[[Pilothouse], object], killed_after: int | None) -> None:
        """One process acts; a refusal is fine, and so is its death."""
        self.life.reaper.spared = killed_after
        try:
            act(self.panel)
        except PilothouseError:
            pass
        except Killed:
            self.panel = self.life.process()
        finally:
            self.life.reaper.spared = None

    @rule(
        hard=st.sampled_from([True, True, False]),
        better=st.booleans(),
        broken=st.sampled_from([False, False, True]),
        killed_after=st.none() | st.integers(0, MOST_STEPS),
    )
    def candidate(self, hard: bool, better: bool, broken: bool, killed_after: int | None) -> None:
        version = self.life.train(self.panel, hard=hard, better=better)
        if broken:
            self.life.replicas.broken.add(version)
        self.attempt(self.life.beat, killed_after)

    @rule(person=PEOPLE, killed_after=st.none() | st.integers(0, MOST_STEPS))
    def approve(self, person: str, killed_after: int | None) -> None:
        for one in self.waiting():
            self.attempt(
                lambda panel, one=one: panel.promotions.approve(
                    one.id, reason=REASON, actor=person
                ),
                killed_after,
            )

    @rule(person=PEOPLE, killed_after=st.none() | st.integers(0, MOST_STEPS))
    def reject(self, person: str, killed_after: int | None) -> None:
        for one in self.waiting():
            self.attempt(
                lambda panel, one=one: panel.promotions.reject(one.id, reason=REASON, actor=person),
                killed_after,
            )

    @rule(
        version=st.none() | st.integers(1, 8),
        person=PEOPLE,
        killed_after=st.none() | st.integers(0, MOST_STEPS),
    )
    def roll_back(self, version: int | None, person: str, killed_after: int | None) -> None:
        self.attempt(
            lambda panel: panel.promotions.rollback(NAME, version, reason=REASON, actor=person),
            killed_after,
        )

    @rule(
        version=st.integers(1, 8),
        person=PEOPLE,
        killed_after=st.none() | st.integers(0, MOST_STEPS),
    )
    def ask(self, version: int, person: str, killed_after: int | None) -> None:
        self.attempt(
            lambda panel: panel.promotions.request(NAME, version, actor=person, reason=REASON),
            killed_after,
        )

    @rule(version=st.integers(2, 8))
    def delete(self, version: int) -> None:
        # The first version stays, so that there is always something to go back to.
        self.life.registry.versions.pop((NAME, version), None)
        if self.life.replicas.answers.get(NAME) == version:
            # The replicas that had loaded it are gone too.
            del self.life.replicas.answers[NAME]

    @rule(
        alias=st.sampled_from([PRODUCTION, STAGING]),
        version=st.integers(1, 4),
        killed_after=st.none() | st.integers(0, MOST_STEPS),
    )
    def move_alias(self, alias: str, version: int, killed_after: int | None) -> None:
        served = dict(self.life.replicas.answers)
        if (NAME, version) not in self.life.registry.versions:
            return
        self.life.registry.set_alias(NAME, alias, version)
        worker = settle(self.life)
        drift = worker.promotions.alias_drift(NAME)
        assert self.life.replicas.answers == served
        open_alerts = worker.alerts.list(NAME, open_only=True)
        assert bool(open_alerts) == bool(drift)
        self.attempt(
            lambda panel: panel.promotions.restore_alias(NAME, actor="bob", reason=REASON),
            killed_after,
        )
        # A process that died before it had decided has restored nothing.
        self.attempt(
            lambda panel: panel.promotions.restore_alias(NAME, actor="bob", reason=REASON), None
        )

    @rule(people=st.lists(PEOPLE, min_size=2, max_size=2, unique=True), reject=st.booleans())
    def at_once(self, people: list[str], reject: bool) -> None:
        """Two people in two processes decide the same request at the same time."""
        for one in self.waiting():
            refused = self.decide_at_once(one, people, reject)
            if self.approvals_required == 1:
                # One has decided, and the other was told.
                assert refused
            record = self.panel.promotions.history(NAME)
            assert len([entry for entry in record if entry.request_id == one.id]) <= 1

    def decide_at_once(
        self, one: PromotionRequest, people: list[str], reject: bool
    ) -> list[PilothouseError]:
        """What those were told who could not decide."""
        gate = threading.Barrier(2)
        processes = [self.life.process() for _ in people]
        refused: list[PilothouseError] = []

        def decide(index: int) -> None:
            own = processes[index].promotions
            act = own.reject if reject and index else own.approve
            gate.wait()
            try:
                act(one.id, reason=REASON, actor=people[index])
            except PilothouseError as exc:
                refused.append(exc)

        threads = [threading.Thread(target=decide, args=(index,)) for index in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return refused

    def waiting(self) -> tuple[PromotionRequest, ...]:
        return self.panel.promotions.requests(NAME, open_only=True)

    @invariant()
    def whole(self) -> None:
        require_whole(self.life, settle(self.life))


class DecisionsOfTwo(Decisions):
    """The same where two people have to approve."""

    approvals_required = 2


def _run(machine: type[Decisions], examples: int) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=12,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


MACHINES = pytest.mark.parametrize("machine", [Decisions, DecisionsOfTwo])


def test_the_first_of_two_approvals_touches_no_alias() -> None:
    """A sequence that the machine has found: its process died between two halves of an alias."""
    machine = DecisionsOfTwo()
    try:
        machine.first()
        machine.candidate(hard=True, better=False, broken=False, killed_after=None)
        machine.life.reaper.passed.clear()
        machine.approve(person="bob", killed_after=None)
        assert "before decide" in machine.life.reaper.passed
        assert "before set_alias" not in machine.life.reaper.passed
        machine.whole()
    finally:
        machine.teardown()


@MACHINES
@pytest.mark.timeout(300)
def test_every_sequence_ends_whole(machine: type[Decisions]) -> None:
    _run(machine, examples=10)


@MACHINES
@pytest.mark.long
@pytest.mark.timeout(3600)
def test_very_many_sequences_end_whole(machine: type[Decisions]) -> None:
    _run(machine, examples=300)
