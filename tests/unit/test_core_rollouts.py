"""Shadows and canaries from their start to their end, on fakes with a real database."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from core.adapters.database_tables import PROMOTIONS
from core.adapters.mlflow_registry import PRODUCTION, SHADOW, STAGING
from core.bootstrap import Pilothouse
from core.deployment.drift import find_beside
from core.deployment.metrics import BOUNDS_S
from core.domain import RequestStatus
from core.domain_serving import Health, HeldBeside, ServingStatus
from core.domain_watching import AlertKind, AlertStatus
from core.errors import ConflictError, InvalidInputError, NotFoundError, RefusedError
from core.promotion.audit import Action
from core.rollout.conductor import LOAD_PATIENCE, Conductor
from core.rollout.estimates import keep_estimates
from core.rollout.notes import (
    FAILURE_STALE_S,
    PROBABILITY_BINS,
    RolloutNotes,
    VersionNotes,
    notes_file,
    rollouts_folder,
)
from core.rollout.steps import Estimates, Move
from core.rollout.values import Rollout, RolloutKind, RolloutStatus
from tests.unit.lifecycle import NAME, Lifecycle, lifecycle
from tests.unit.test_promotion_properties import settle

WHY = "better on every slice"
BAKED = timedelta(seconds=301)


@dataclass
class Stage:
    """v1 serves, v2 waits, and a clock that the test turns."""

    life: Lifecycle
    panel: Pilothouse
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def folder(self) -> Path:
        return rollouts_folder(self.panel.settings.home)

    @property
    def active(self) -> Rollout | None:
        return self.panel.rollouts.active(NAME)

    def newest(self) -> Rollout:
        return self.panel.rollouts.list(NAME, 1)[0]

    def request(self) -> str:
        return self.panel.promotions.requests(NAME)[0].id

    def status(self) -> RequestStatus:
        return self.panel.promotions.requests(NAME)[0].status

    def production(self) -> int:
        entry = self.panel.promotions.production(NAME)
        assert entry is not None
        return entry.version

    def start(self) -> Rollout:
        done = self.panel.promotions.approve(self.request(), reason=WHY, actor="bob", in_steps=True)
        assert done.promotion is None
        assert done.rollout is not None
        self.now = done.rollout.step_since
        return done.rollout

    def conductor(self, estimator: Nothing | None = None) -> Conductor:
        """That of a worker that has just started."""
        anew: Any = self.life.process()
        return Conductor(
            anew.rollouts._desk,
            estimator or Nothing(),
            anew.alerts,
            anew.settings.home,
            lambda: self.now,
        )

    def note(self, rollout: Rollout, failure: str = "", **steps: tuple[int, int]) -> None:
        """What replicas have noted: step -> (requests, failed) of the new version."""
        told = {
            int(step.removeprefix("step")): {
                rollout.version: answers(*asked),
                rollout.incumbent_version: answers(1000, 0),
            }
            for step, asked in steps.items()
        }
        file = notes_file(self.folder, rollout.id, "a")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(RolloutNotes(steps=told, failure=failure).model_dump_json())

    def actions(self) -> list[str]:
        """What the trail tells of rollouts, oldest first."""
        rows = [str(row.entry.action) for row in self.panel.audit.list(None)]
        return [one for one in reversed(rows) if "rollout" in one or "shadow" in one]


class Nothing:
    """An estimator that has nothing to say."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def latest(self, rollout: Rollout, now: datetime) -> None:
        self.asked.append(rollout.id)


def answers(requests: int, failed: int) -> VersionNotes:
    durations = [0] * (len(BOUNDS_S) + 1)
    durations[8] = requests
    rows = [0] * PROBABILITY_BINS
    for number in range(requests):
        rows[number * 7 % PROBABILITY_BINS] += 1
    return VersionNotes(
        requests=requests,
        failed=failed,
        rows=requests,
        seconds=requests * 0.001,
        durations=tuple(durations),
        probabilities=tuple(rows),
    )


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with lifecycle(tmp_path) as life:
        for _ in range(2):
            life.train(life.process())
            settle(life)
        yield Stage(life, life.process())


class TestCanary:
    def test_an_approval_in_steps_moves_no_alias(self, stage: Stage) -> None:
        rollout = stage.start()
        settle(stage.life)
        assert stage.status() is RequestStatus.ROLLING_OUT
        assert stage.production() == 1
        assert stage.life.registry.aliases(NAME).get(PRODUCTION) == 1
        beside = stage.life.replicas.beside[NAME]
        assert (beside.rollout, beside.kind, beside.share) == (rollout.id, "canary", 0.1)
        assert beside.model.version == 2
        assert stage.life.registry.get(NAME, 2).tags["promotion_state"] == "rolling_out"

    def test_it_comes_to_all_requests_step_by_step(self, stage: Stage) -> None:
        rollout = stage.start()
        for step, share in ((0, 0.5), (1, 1.0)):
            stage.now += BAKED
            stage.note(rollout, **{f"step{step}": (150, 0)})
            stage.conductor().run([NAME])
            active = stage.active
            assert active is not None
            assert active.share == share
        assert stage.production() == 2
        assert stage.life.registry.aliases(NAME)[PRODUCTION] == 2
        assert stage.status() is RequestStatus.ROLLING_OUT
        beside = stage.life.replicas.beside[NAME]
        assert (beside.model.version, beside.share) == (1, 0.0)
        stage.now += BAKED
        stage.note(rollout, step0=(150, 0), step1=(150, 0), step2=(150, 0))
        stage.conductor().run([NAME])
        settle(stage.life)
        assert stage.active is None
        assert stage.newest().status is RolloutStatus.DONE
        assert stage.status() is RequestStatus.APPROVED
        assert stage.life.replicas.beside == {}
        assert stage.actions() == [
            Action.ROLLOUT_STARTED,
            Action.ROLLOUT_ADVANCED,
            Action.ROLLOUT_ADVANCED,
            Action.ROLLOUT_DONE,
        ]
        (entry, first) = stage.panel.promotions.history(NAME)
        assert (entry.version, entry.decided_by, entry.reason) == (2, "bob", WHY)
        assert entry.since == stage.newest().step_since
        assert first.version == 1
        assert stage.panel.audit.verify().findings == ()

    def test_it_waits_for_its_time_and_for_requests(self, stage: Stage) -> None:
        rollout = stage.start()
        stage.note(rollout, step0=(150, 0))
        stage.conductor().run([NAME])
        assert stage.active == rollout
        stage.now += BAKED
        stage.note(rollout, step0=(12, 0))
        stage.conductor().run([NAME])
        assert stage.active == rollout
        decision = stage.panel.rollouts.view(rollout).decision
        assert decision is not None
        assert (decision.move, decision.requests_missing) == (Move.WAIT, 88)

    def test_a_guard_takes_it_back_and_alerts_once(self, stage: Stage) -> None:
        rollout = stage.start()
        stage.note(rollout, step0=(50, 20))
        for _ in range(2):
            stage.conductor().run([NAME])
        settle(stage.life)
        over = stage.newest()
        assert (over.status, over.ended_by) == (RolloutStatus.ROLLED_BACK, "worker")
        assert "error rate" in over.end_reason or "fail" in over.end_reason
        assert stage.status() is RequestStatus.ROLLED_BACK
        assert stage.production() == 1
        assert stage.life.replicas.beside == {}
        (alert,) = stage.panel.alerts.list(NAME)
        assert (alert.kind, alert.status) == (AlertKind.ROLLOUT, AlertStatus.OPEN)
        assert alert.details == (over.end_reason,)
        assert stage.actions() == [Action.ROLLOUT_STARTED, Action.ROLLOUT_ENDED]

    def test_the_alert_closes_when_another_rollout_begins(self, stage: Stage) -> None:
        stage.note(stage.start(), step0=(50, 20))
        stage.conductor().run([NAME])
        stage.panel.rollouts.start_shadow(NAME, 2, actor="ann", reason=WHY)
        stage.conductor().run([NAME])
        (alert,) = stage.panel.alerts.list(NAME)
        assert alert.status is AlertStatus.CLOSED

    def test_the_alert_closes_when_a_version_is_approved_at_once(self, stage: Stage) -> None:
        stage.note(stage.start(), step0=(50, 20))
        stage.conductor().run([NAME])
        stage.life.train(stage.life.process())
        settle(stage.life)
        stage.panel.promotions.approve(stage.request(), reason=WHY, actor="bob")
        conductor = stage.conductor()
        for _ in range(2):
            conductor.run([NAME])
        (alert,) = stage.panel.alerts.list(NAME)
        assert alert.status is AlertStatus.CLOSED

    def test_a_guard_in_the_last_step_takes_production_back(self, stage: Stage) -> None:
        rollout = stage.start()
        for step in (0, 1):
            stage.now += BAKED
            stage.note(rollout, **{f"step{step}": (150, 0)})
            stage.conductor().run([NAME])
        settle(stage.life)
        assert stage.production() == 2
        stage.note(rollout, step0=(150, 0), step1=(150, 0), step2=(60, 30))
        stage.conductor().run([NAME])
        settle(stage.life)
        record = stage.panel.promotions.history(NAME)
        assert [(one.version, one.rule) for one in record][:2] == [
            (1, "automatic rollback"),
            (2, "approval"),
        ]
        assert stage.life.registry.aliases(NAME)[PRODUCTION] == 1
        assert stage.life.replicas.answers[NAME] == 1
        assert stage.status() is RequestStatus.ROLLED_BACK

    def test_a_version_that_cannot_be_loaded_is_given_time_and_goes_back(
        self, stage: Stage
    ) -> None:
        rollout = stage.start()
        stage.note(rollout, failure="model.onnx is damaged.")
        conductor = stage.conductor()
        conductor.run([NAME])
        assert stage.active is not None
        stage.now += LOAD_PATIENCE
        conductor.run([NAME])
        assert stage.newest().status is RolloutStatus.ROLLED_BACK
        assert "model.onnx is damaged" in stage.newest().end_reason

    def test_a_load_that_succeeds_at_last_is_forgiven(self, stage: Stage) -> None:
        rollout = stage.start()
        conductor = stage.conductor()
        for failure, wait in (("away", LOAD_PATIENCE / 2), ("", LOAD_PATIENCE), ("away", BAKED)):
            stage.note(rollout, failure=failure)
            conductor.run([NAME])
            stage.now += wait
        assert stage.newest().status is RolloutStatus.RUNNING

    def test_a_clock_that_was_put_back_starts_the_step_anew(self, stage: Stage) -> None:
        rollout = stage.start()
        stage.now -= timedelta(hours=2)
        stage.note(rollout, step0=(150, 0))
        stage.conductor().run([NAME])
        active = stage.active
        assert active is not None
        assert (active.step, active.step_since) == (0, stage.now)
        stage.now += BAKED
        stage.conductor().run([NAME])
        assert stage.newest().step == 1

    def test_an_estimate_that_is_much_worse_takes_it_back(self, stage: Stage) -> None:
        rollout = stage.start()
        told = Estimates(0, "roc_auc", new=0.70, old=0.80, new_rows=300, old_rows=3000)
        notes_file(stage.folder, rollout.id, "a").parent.mkdir(parents=True)
        keep_estimates(stage.folder, rollout.id, replace(told, step=1), stage.now)
        stage.conductor().run([NAME])
        assert stage.active == rollout, "of another step"
        keep_estimates(stage.folder, rollout.id, told, stage.now)
        stage.conductor().run([NAME])
        assert stage.newest().status is RolloutStatus.ROLLED_BACK

    def test_canaries_alone_are_estimated(self, stage: Stage) -> None:
        estimator = Nothing()
        stage.conductor(estimator).estimate([NAME])
        stage.panel.rollouts.start_shadow(NAME, 2, actor="ann", reason=WHY)
        stage.conductor(estimator).estimate([NAME])
        assert estimator.asked == []
        rollout = stage.start()
        stage.conductor(estimator).estimate([NAME])
        assert estimator.asked == [rollout.id]

    def test_hold_keeps_it_and_guards_still_watch(self, stage: Stage) -> None:
        rollout = stage.start()
        held = stage.panel.rollouts.hold(NAME, actor="ann", reason="the shop has a sale")
        assert held.held_because == "ann holds it: the shop has a sale"
        stage.now += BAKED
        stage.note(rollout, step0=(150, 0))
        stage.conductor().run([NAME])
        assert stage.active == held
        with pytest.raises(ConflictError, match="is held"):
            stage.panel.rollouts.hold(NAME, actor="ann", reason="the shop has a sale")
        stage.note(rollout, step0=(150, 90))
        stage.conductor().run([NAME])
        assert stage.newest().status is RolloutStatus.ROLLED_BACK

    def test_it_goes_on_when_somebody_says_so(self, stage: Stage) -> None:
        rollout = stage.start()
        stage.panel.rollouts.hold(NAME, actor="ann", reason="the shop has a sale")
        stage.panel.rollouts.resume(NAME, actor="ann", reason="the sale is over")
        with pytest.raises(ConflictError, match="not held"):
            stage.panel.rollouts.resume(NAME, actor="ann", reason="the sale is over")
        stage.now += BAKED
        stage.note(rollout, step0=(150, 0))
        stage.conductor().run([NAME])
        assert stage.newest().step == 1

    def test_a_person_stops_it_in_its_first_step(self, stage: Stage) -> None:
        stage.start()
        over = stage.panel.rollouts.stop(NAME, actor="ann", reason="callers complain")
        settle(stage.life)
        assert (over.status, over.end_reason) == (RolloutStatus.STOPPED, "callers complain")
        assert stage.status() is RequestStatus.ROLLED_BACK
        assert (stage.production(), stage.life.replicas.beside) == (1, {})
        assert stage.panel.alerts.list(NAME) == ()

    def test_a_person_stops_it_in_its_last_step(self, stage: Stage) -> None:
        rollout = stage.start()
        for step in (0, 1):
            stage.now += BAKED
            stage.note(rollout, **{f"step{step}": (150, 0)})
            stage.conductor().run([NAME])
        stage.panel.rollouts.stop(NAME, actor="ann", reason="callers complain")
        settle(stage.life)
        entry = stage.panel.promotions.history(NAME)[0]
        assert (entry.version, entry.rule, entry.decided_by) == (1, "rollback", "ann")
        assert stage.status() is RequestStatus.ROLLED_BACK
        assert stage.life.replicas.answers[NAME] == 1

    def test_a_rollback_of_production_ends_it(self, stage: Stage) -> None:
        rollout = stage.start()
        for step in (0, 1):
            stage.now += BAKED
            stage.note(rollout, **{f"step{step}": (150, 0)})
            stage.conductor().run([NAME])
        settle(stage.life)
        stage.panel.promotions.rollback(NAME, reason="callers complain", actor="ann")
        settle(stage.life)
        assert stage.active is None
        assert stage.newest().end_reason == "Production goes back to v1."
        assert stage.status() is RequestStatus.ROLLED_BACK
        assert stage.life.replicas.beside == {}

    def test_another_version_waits_until_it_has_ended(self, stage: Stage) -> None:
        stage.start()
        stage.life.train(stage.life.process())
        settle(stage.life)
        assert stage.life.registry.aliases(NAME)[STAGING] == 3
        with pytest.raises(ConflictError, match="v2 is rolling out"):
            stage.panel.promotions.approve(stage.request(), reason=WHY, actor="bob")

    def test_a_spent_budget_holds_it_unless_somebody_says_why(self, stage: Stage) -> None:
        desk: Any = stage.panel.promotions._desk
        spent = replace(desk, budget_spent=lambda _: "The error budget is spent.")
        for owner in (stage.panel.promotions._decisions, stage.panel.rollouts):
            changed: Any = owner
            changed._desk = spent
        with pytest.raises(RefusedError, match="budget is spent"):
            stage.start()
        assert stage.status() is RequestStatus.OPEN
        with pytest.raises(RefusedError, match="budget is spent"):
            stage.panel.rollouts.start_shadow(NAME, 2, actor="ann", reason=WHY)
        done = stage.panel.promotions.approve(
            stage.request(),
            reason=WHY,
            actor="bob",
            in_steps=True,
            despite_budget="it mends what spends the budget",
        )
        assert done.rollout is not None
        told = next(
            row.entry
            for row in stage.panel.audit.list(None)
            if row.entry.action == Action.ROLLOUT_STARTED
        )
        assert "it mends what spends the budget" in told.detail


class TestShadow:
    def test_it_is_held_beside_production_and_decides_nothing(self, stage: Stage) -> None:
        rollout = stage.panel.rollouts.start_shadow(NAME, 2, actor="ann", reason=WHY, share=0.25)
        settle(stage.life)
        assert stage.life.registry.aliases(NAME)[SHADOW] == 2
        beside = stage.life.replicas.beside[NAME]
        assert (beside.kind, beside.share, beside.model.version) == ("shadow", 0.25, 2)
        assert (stage.production(), stage.status()) == (1, RequestStatus.OPEN)
        stage.now += 10 * BAKED
        stage.conductor().run([NAME])
        assert stage.active == rollout
        over = stage.panel.rollouts.stop(NAME, actor="ann", reason="seen enough of it")
        settle(stage.life)
        assert over.status is RolloutStatus.STOPPED
        assert SHADOW not in stage.life.registry.aliases(NAME)
        assert stage.life.replicas.beside == {}
        assert stage.actions() == [Action.SHADOW_STARTED, Action.ROLLOUT_STOPPED]

    def test_one_after_the_decision_is_none_that_it_rested_on(self, stage: Stage) -> None:
        stage.panel.rollouts.start_shadow(NAME, 2, actor="ann", reason=WHY)
        (seen,) = stage.panel.rollouts.shadows(NAME, 2)
        started = seen.rollout.started_at
        assert stage.panel.rollouts.shadows(NAME, 2, started) == ()
        assert stage.panel.rollouts.shadows(NAME, 2, started + BAKED) == (seen,)

    def test_it_ends_when_something_becomes_production(self, stage: Stage) -> None:
        stage.panel.rollouts.start_shadow(NAME, 2, actor="ann", reason=WHY)
        stage.panel.promotions.approve(stage.request(), reason=WHY, actor="bob")
        settle(stage.life)
        assert stage.newest().end_reason == "v2 becomes Production."
        assert SHADOW not in stage.life.registry.aliases(NAME)

    @pytest.mark.parametrize(
        ("start", "error"),
        [
            (lambda r: r.start_shadow(NAME, 1, actor="ann", reason=WHY), ConflictError),
            (lambda r: r.start_shadow(NAME, 9, actor="ann", reason=WHY), NotFoundError),
            (lambda r: r.start_shadow("pears", 1, actor="ann", reason=WHY), ConflictError),
            (lambda r: r.start_shadow(NAME, 2, actor="ann", reason="so"), InvalidInputError),
            (
                lambda r: r.start_shadow(NAME, 2, actor="ann", reason=WHY, share=0.0),
                InvalidInputError,
            ),
            (lambda r: r.stop(NAME, actor="ann", reason=WHY), ConflictError),
            (lambda r: r.hold(NAME, actor="ann", reason=WHY), ConflictError),
            (lambda r: r.get("none"), NotFoundError),
        ],
    )
    def test_what_is_refused_leaves_nothing(
        self, stage: Stage, start: Callable[[Any], object], error: type[Exception]
    ) -> None:
        with pytest.raises(error):
            start(stage.panel.rollouts)
        assert stage.panel.rollouts.list() == ()
        assert stage.life.replicas.beside == {}

    def test_one_at_a_time(self, stage: Stage) -> None:
        stage.panel.rollouts.start_shadow(NAME, 2, actor="ann", reason=WHY)
        with pytest.raises(ConflictError, match="shadow of plums v2 is active"):
            stage.panel.rollouts.start_shadow(NAME, 2, actor="bob", reason=WHY)
        with pytest.raises(ConflictError, match="has no steps"):
            stage.panel.rollouts.hold(NAME, actor="ann", reason=WHY)
        assert stage.newest().kind is RolloutKind.SHADOW


class TestReplicas:
    def test_production_goes_first_where_the_version_before_is_gone(self, stage: Stage) -> None:
        rollout = stage.start()
        stage.now += BAKED
        stage.note(rollout, step0=(150, 0))
        stage.conductor().run([NAME])
        with stage.life.database.begin() as connection:
            # What a release before this one has recorded, and nobody can be asked about.
            connection.execute(PROMOTIONS.update().values(source=""))
        del stage.life.registry.versions[NAME, 1]
        stage.now += BAKED
        stage.note(rollout, step0=(150, 0), step1=(150, 0))
        stage.conductor().run([NAME])
        settle(stage.life)
        assert stage.life.replicas.answers[NAME] == 2
        assert stage.life.replicas.beside == {}

    def test_what_they_hold_is_held_against_the_rollout(self, stage: Stage) -> None:
        rollout = stage.start()
        rollouts = {NAME: rollout}

        def status(rollout_id: str = "", step: int = 0) -> ServingStatus:
            held = HeldBeside(rollout_id, step, 2, loaded=True)
            return ServingStatus(Health.HEALTHY, 1, (), beside={NAME: held} if rollout_id else {})

        assert find_beside(rollouts, [NAME], status()) == (NAME,)
        assert find_beside(rollouts, [NAME], status(rollout.id, 0)) == ()
        assert find_beside(rollouts, [NAME], status(rollout.id, 1)) == (NAME,)
        assert find_beside(rollouts, [NAME], status("another", 0)) == (NAME,)
        assert find_beside({}, [NAME], status(rollout.id, 0)) == (NAME,)
        assert find_beside(rollouts, [], status()) == ()

    def test_they_are_told_again_where_they_forgot(self, stage: Stage) -> None:
        stage.start()
        settle(stage.life)
        stage.life.replicas.beside = {}
        stage.life.process().reconciler.repair()
        assert stage.life.replicas.beside[NAME].share == 0.1

    def test_they_are_told_of_the_end_whatever_they_say(self, stage: Stage) -> None:
        stage.start()
        settle(stage.life)
        shown = stage.life.replicas.status()
        # In the middle of a switch they do not agree, so nothing is told of what they hold.
        nothing: Any = lambda: replace(shown, beside={})  # noqa: E731
        stage.life.replicas.status = nothing  # type: ignore[method-assign]
        stage.life.process().rollouts.stop(NAME, actor="ann", reason="callers complain")
        assert stage.life.replicas.beside == {}

    def test_the_way_back_needs_no_registry(self, stage: Stage) -> None:
        rollout = stage.start()
        for step in (0, 1):
            stage.now += BAKED
            stage.note(rollout, **{f"step{step}": (150, 0)})
            stage.conductor().run([NAME])
        settle(stage.life)
        with stage.life.database.begin() as connection:
            connection.execute(PROMOTIONS.update().values(source=f"{NAME}/1"))
        stage.life.registry.plug.pulled = True
        stage.note(rollout, step0=(150, 0), step1=(150, 0), step2=(60, 30))
        stage.conductor().run([NAME])
        assert stage.life.replicas.answers[NAME] == 1
        assert stage.newest().status is RolloutStatus.ROLLED_BACK
        stage.life.registry.plug.pulled = False
        settle(stage.life)
        assert stage.life.registry.aliases(NAME)[PRODUCTION] == 1

    def test_one_that_cannot_be_served_at_last_is_told_as_taken_back(self, stage: Stage) -> None:
        rollout = stage.start()
        stage.life.replicas.broken.add(2)
        for step in (0, 1):
            stage.now += BAKED
            stage.note(rollout, **{f"step{step}": (150, 0)})
            stage.conductor().run([NAME])
        settle(stage.life)
        stage.conductor().run([NAME])
        assert stage.production() == 1
        assert stage.newest().status is RolloutStatus.ROLLED_BACK
        assert [one.kind for one in stage.panel.alerts.list(NAME)] == [AlertKind.ROLLOUT]

    def test_what_a_replica_that_has_gone_could_not_load_is_no_news(self, stage: Stage) -> None:
        rollout = stage.start()
        stage.note(rollout, failure="model.onnx is damaged.")
        old = time.time() - FAILURE_STALE_S - 1
        os.utime(notes_file(stage.folder, rollout.id, "a"), (old, old))
        assert stage.panel.rollouts.view(rollout).notes.failure == ""
