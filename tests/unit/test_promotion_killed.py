"""A process killed at every step of a decision, one after the other: whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core.adapters.mlflow_registry import PRODUCTION
from core.bootstrap import Pilothouse
from core.domain import RequestStatus
from core.promotion.audit import Action
from tests.unit.lifecycle import NAME, Killed, Lifecycle, lifecycle
from tests.unit.test_promotion_properties import REASON, require_whole, settle

Act = Callable[[Pilothouse], object]


@pytest.fixture
def life(tmp_path: Path) -> Iterator[Lifecycle]:
    """v1 serves."""
    with lifecycle(tmp_path) as made:
        made.train(made.process())
        settle(made)
        yield made


def _killed_at_every_step(
    life: Lifecycle, prepare: Callable[[], Act], check: Callable[[Pilothouse, str], None]
) -> list[str]:
    """Repeats an action, each time killed one step later, until it comes to its end."""
    deaths: list[str] = []
    while True:
        act, process = prepare(), life.process()
        life.reaper.spared = len(deaths)
        try:
            act(process)
        except Killed as death:
            deaths.append(str(death))
            worker = settle(life)
            require_whole(life, worker)
            check(worker, str(death))
            continue
        life.reaper.spared = None
        require_whole(life, settle(life))
        return deaths


def _decided_before(deaths: list[str]) -> tuple[list[str], list[str]]:
    """Deaths before and after the decision was written."""
    # The anchor of the trail moves once the transaction is committed.
    written = deaths.index("before anchor")
    return deaths[:written], deaths[written:]


def _waiting(life: Lifecycle) -> str:
    process = life.process()
    if not process.promotions.requests(NAME, open_only=True):
        life.train(process)
        settle(life)
    (request,) = process.promotions.requests(NAME, open_only=True)
    return request.id


def test_an_approval_is_there_or_not(life: Lifecycle) -> None:
    ended: list[tuple[str, RequestStatus, bool]] = []

    def approve() -> Act:
        request_id = _waiting(life)
        return lambda process: process.promotions.approve(request_id, reason=REASON, actor="bob")

    def look(worker: Pilothouse, death: str) -> None:
        (request, *_) = worker.promotions.requests(NAME)
        last = worker.audit.list(1)[0].entry
        completed = last.action == Action.DECISION_COMPLETED and last.actor == "worker"
        ended.append((death, request.status, completed))

    deaths = _killed_at_every_step(life, approve, look)
    before, after = _decided_before(deaths)
    # In the database, at alias and tags, at the deployment, and before it is noted as done.
    assert {"read", "before decide", "before append_in", "after append_in"} <= {*before}
    assert {"before set_alias", "after tag", "before deploy", "before finish"} <= {*after}
    for (death, status, completed), index in zip(ended, range(len(deaths)), strict=True):
        decided = index >= len(before)
        assert status is (RequestStatus.APPROVED if decided else RequestStatus.OPEN), death
        # What was noted as done needs nobody to complete it.
        assert completed is (decided and death not in ("after finish", "after mark_live")), death


def test_a_rollback_is_there_or_not(life: Lifecycle) -> None:
    worker = life.process()
    worker.promotions.approve(_waiting(life), reason=REASON, actor="bob")
    settle(life)

    def back() -> Act:
        other = {1: 2, 2: 1}[worker.promotions.history(NAME)[0].version]
        return lambda process: process.promotions.rollback(NAME, other, reason=REASON, actor="bob")

    moved: list[int] = []
    deaths = _killed_at_every_step(
        life, back, lambda process, _: moved.append(len(process.promotions.history(NAME)))
    )
    before, _ = _decided_before(deaths)
    assert moved[len(before) - 1] == 2
    assert moved[len(before) :] == list(range(3, 3 + len(deaths) - len(before)))


def test_a_rejection_is_there_or_not(life: Lifecycle) -> None:
    def reject() -> Act:
        request_id = _waiting(life)
        return lambda process: process.promotions.reject(request_id, reason=REASON, actor="bob")

    statuses: list[RequestStatus] = []
    deaths = _killed_at_every_step(
        life,
        reject,
        lambda process, _: statuses.append(process.promotions.requests(NAME)[0].status),
    )
    before, after = _decided_before(deaths)
    assert "before drop_alias" in after
    assert statuses == [RequestStatus.OPEN] * len(before) + [RequestStatus.REJECTED] * len(after)


def test_a_candidate_is_considered_once_and_whole(life: Lifecycle) -> None:
    def consider() -> Act:
        process = life.process()
        version = life.train(process)
        (run,) = process.database.unconsidered_runs()
        assert run.model_version == version
        return lambda other: other.promotions.consider(run)

    def look(worker: Pilothouse, _: str) -> None:
        requests = worker.promotions.requests(NAME)
        assert requests[0].status is RequestStatus.OPEN
        assert len({one.version for one in requests}) == len(requests)

    deaths = _killed_at_every_step(life, consider, look)
    assert {"gather", "freeze", "before decide", "before set_alias"} <= {*deaths}


def test_taking_back_what_cannot_be_served_is_whole(life: Lifecycle) -> None:
    def promote_a_broken_one() -> Act:
        request_id = _waiting(life)
        process = life.process()
        broken = process.promotions.get(request_id).version
        life.replicas.broken.add(broken)
        process.promotions.approve(request_id, reason=REASON, actor="bob")

        def beats(worker: Pilothouse) -> None:
            life.beat(worker)
            life.beat(worker)

        return beats

    def look(worker: Pilothouse, _: str) -> None:
        newest, broken, *_ = worker.promotions.history(NAME)
        assert (newest.rule, newest.version, newest.decided_by) == (
            "automatic rollback",
            1,
            "worker",
        )
        assert newest.undoes == broken.id
        assert broken.live_at is None
        assert "cannot be read" in newest.reason

    deaths = _killed_at_every_step(life, promote_a_broken_one, look)
    assert {"before decide", "after decide", "before deploy"} <= {*deaths}


def test_putting_an_alias_right_is_whole(life: Lifecycle) -> None:
    other = life.process()
    other.promotions.approve(_waiting(life), reason=REASON, actor="bob")
    settle(life)

    def restore() -> Act:
        life.registry.set_alias(NAME, PRODUCTION, 1)
        return lambda process: process.promotions.restore_alias(NAME, actor="bob", reason=REASON)

    deaths: list[str] = []
    while True:
        act, process = restore(), life.process()
        life.reaper.spared = len(deaths)
        try:
            act(process)
        except Killed as death:
            deaths.append(str(death))
            worker = settle(life)
            drift = worker.promotions.alias_drift(NAME)
            # Before it is decided nobody moves the alias back; afterwards the worker does.
            assert bool(drift) == ("before anchor" not in deaths), deaths[-1]
            assert life.replicas.answers == {NAME: 2}
            continue
        life.reaper.spared = None
        break
    require_whole(life, settle(life))


def test_a_canary_is_there_or_not(life: Lifecycle) -> None:
    started: list[bool] = []

    def start() -> Act:
        process = life.process()
        if process.rollouts.active(NAME) is not None:
            process.rollouts.stop(NAME, actor="bob", reason=REASON)
            settle(life)
        request_id = _waiting(life)
        return lambda process: process.promotions.approve(
            request_id, reason=REASON, actor="bob", in_steps=True
        )

    def look(worker: Pilothouse, death: str) -> None:
        active = worker.rollouts.active(NAME)
        (request, *_) = worker.promotions.requests(NAME)
        is_rolling = request.status is RequestStatus.ROLLING_OUT
        assert is_rolling is (active is not None), death
        assert set(life.replicas.beside) == ({NAME} if active else set()), death
        started.append(active is not None)

    before, after = _decided_before(_killed_at_every_step(life, start, look))
    assert started == [False] * len(before) + [True] * len(after)


def test_the_end_of_a_canary_is_there_or_not(life: Lifecycle) -> None:
    ended: list[bool] = []

    def stop() -> Act:
        process = life.process()
        if process.rollouts.active(NAME) is None:
            process.promotions.approve(_waiting(life), reason=REASON, actor="bob", in_steps=True)
            settle(life)
        return lambda process: process.rollouts.stop(NAME, actor="bob", reason=REASON)

    def look(worker: Pilothouse, death: str) -> None:
        is_over = worker.rollouts.active(NAME) is None
        (request, *_) = worker.promotions.requests(NAME)
        assert (request.status is RequestStatus.ROLLED_BACK) is is_over, death
        assert set(life.replicas.beside) == (set() if is_over else {NAME}), death
        ended.append(is_over)

    before, after = _decided_before(_killed_at_every_step(life, stop, look))
    assert ended == [False] * len(before) + [True] * len(after)
