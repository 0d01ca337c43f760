"""What the worker records of replicas that have left the record."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from core.deployment.last_repair import last_repair, remark_on_files
from core.deployment.serving_watch import ServingWatch
from core.domain_serving import Health, ServedVersion, ServingStatus
from core.errors import UnavailableError
from core.promotion.audit import Action, AuditEntry, Chosen, Outcome
from tests.unit.core_fakes import World, make_world

NOTHING = ServingStatus(Health.DOWN, 0, (), "No model is deployed.")


def answering(version: int) -> ServingStatus:
    return ServingStatus(Health.HEALTHY, 1, (ServedVersion("plums", version, "run", "gbt", 0.5),))


@dataclass
class Watched:
    """An installation whose record says v1, watched at moments of its own."""

    world: World
    watch: ServingWatch
    now: datetime

    def look(self, shown: ServingStatus, after_s: float = 2.0) -> None:
        self.now += timedelta(seconds=after_s)
        self.world.serving.shown = shown
        self.watch.run()

    def told(self) -> list[AuditEntry]:
        chosen = Chosen(action=Action.SERVING_REPAIRED)
        return [row.entry for row in self.world.pilothouse.audit.list(None, chosen)]


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    world = make_world(tmp_path)
    world.put_into_production()
    world.serving.deployed.clear()
    pilothouse = world.pilothouse
    made = Watched(world, pilothouse.serving_watch, datetime.now(UTC))
    made.watch = ServingWatch(
        pilothouse.reconciler, pilothouse.promotions, pilothouse.audit, lambda: made.now
    )
    yield made
    world.close()


def test_what_a_start_brings_up_is_no_incident(watched: Watched) -> None:
    watched.look(NOTHING)
    for _ in range(5):
        watched.look(answering(1))
    # Nor is another start of the worker, with the promotion live by now.
    pilothouse = watched.world.pilothouse
    watched.watch = ServingWatch(
        pilothouse.reconciler, pilothouse.promotions, pilothouse.audit, lambda: watched.now
    )
    watched.look(NOTHING)
    for _ in range(5):
        watched.look(answering(1))
    assert watched.told() == []


def test_a_promotion_that_replicas_follow_is_no_incident(watched: Watched) -> None:
    watched.look(answering(1))
    pilothouse = watched.world.pilothouse
    pilothouse.promotions.consider(watched.world.train(0.9))
    (request,) = pilothouse.promotions.requests(open_only=True)
    pilothouse.promotions.approve(request.id, reason="better by far", actor="bob")
    watched.look(answering(1))
    for _ in range(5):
        watched.look(answering(2))
    assert watched.told() == []


@pytest.mark.parametrize("shown", [NOTHING, answering(7)])
def test_replicas_that_leave_the_record_are_put_right_and_recorded(
    watched: Watched, shown: ServingStatus
) -> None:
    watched.look(answering(1))
    watched.look(shown)
    assert [models["plums"].version for models in watched.world.serving.deployed] == [1]
    for _ in range(5):
        watched.look(answering(1))
    (entry,) = watched.told()
    assert (entry.actor, entry.role, entry.object) == ("worker", "system", "plums v1")
    assert (entry.outcome, entry.problem) == (Outcome.DONE, "plums")
    assert entry.detail.endswith(
        "Ray Serve was told the record. Replicas answered as recorded after 2 s."
    )
    trail = watched.world.pilothouse.audit
    assert last_repair(trail, "plums") == entry
    assert last_repair(trail, "pears") is None


def test_what_cannot_be_put_right_is_recorded_with_its_cause(watched: Watched) -> None:
    watched.look(answering(1))
    watched.world.serving.plug.pulled = True
    for _ in range(40):
        with pytest.raises(UnavailableError):
            watched.look(NOTHING)
    (entry,) = watched.told()
    assert entry.outcome == Outcome.FAILED
    assert entry.detail == (
        "Nothing answered where the record says v1. Ray Serve was not told anew. Replicas do "
        "not answer as recorded after 60 s: Ray does not answer."
    )
    watched.world.serving.plug.pulled = False
    watched.look(NOTHING)
    for _ in range(5):
        watched.look(answering(1))
    assert [one.outcome for one in watched.told()] == [Outcome.DONE, Outcome.FAILED]


def test_a_row_that_cannot_be_written_is_written_at_the_next_look(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched.look(answering(1))
    watched.look(answering(7))
    watched.look(answering(1))

    def refuse(*_: object, **__: object) -> None:
        raise UnavailableError("The database does not answer.")

    with monkeypatch.context() as patched:
        patched.setattr(watched.world.pilothouse.audit, "record", refuse)
        with pytest.raises(UnavailableError):
            watched.look(answering(1), after_s=10.0)
    assert watched.told() == []
    watched.look(answering(1))
    assert len(watched.told()) == 1


def test_why_replicas_cannot_follow_is_in_the_row(watched: Watched) -> None:
    watched.look(answering(1))
    said = "MLflow does not answer. v7 answers in its place."
    for _ in range(40):
        watched.look(replace(answering(7), failures={"plums": said}))
    (entry,) = watched.told()
    assert entry.detail.endswith(f"60 s: {said}")
    # The version has served, so nobody takes its promotion back for that.
    assert watched.world.pilothouse.reconciler.recorded() == {"plums": 1}


def test_a_record_without_a_hash_is_remarked_on(watched: Watched) -> None:
    (entry,) = watched.world.pilothouse.promotions.history("plums")
    assert remark_on_files(None) == remark_on_files(entry) == ""
    older = replace(entry, bundle_sha256="")
    assert remark_on_files(older).startswith("The record of v1 is of a release that kept no hash")
