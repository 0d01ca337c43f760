"""What the worker does about watching: due checks, alerts of finished ones, retrains."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from core.domain import Run, RunStatus
from core.domain_watching import AlertKind
from core.errors import NotFoundError, UnavailableError
from core.monitoring.report import Topic
from core.monitoring.retraining import Speaks
from core.monitoring.retrains import EVERY
from core.promotion.identity import RETRAINER, SCHEDULE
from core.training.job_spec import RunSpec
from core.training.tracking import track_batches
from core.training.workspace import Workspace
from tests.unit.alert_values import CRITICAL, OK, report_of
from tests.unit.core_fakes import job_of
from tests.unit.watching_fakes import POLICY, Watched, watched

DRIFTED = report_of({Topic.DRIFT: CRITICAL})
CALM = report_of({Topic.DRIFT: OK})
DAY = timedelta(days=1)


@pytest.fixture
def it(tmp_path: Path) -> Iterator[Watched]:
    with watched(tmp_path) as made:
        yield made


def _now() -> datetime:
    return datetime.now(UTC)


def _next_due() -> datetime:
    return (_now() + DAY).replace(hour=6, minute=0, second=1)


class TestSchedule:
    def test_a_time_starts_one_check(self, it: Watched) -> None:
        it.promote()
        it.watch.start_due_checks(_now())
        assert it.checks.checks == []
        for seconds in range(3):
            it.watch.start_due_checks(_next_due() + timedelta(seconds=seconds))
        (check,) = it.checks.checks
        assert (check.problem, check.started_by) == ("plums", SCHEDULE)

    def test_never_two_at_a_time(self, it: Watched) -> None:
        it.promote()
        other = it.checks.start("plums", actor="ann")
        it.watch.start_due_checks(_next_due())
        assert it.checks.checks == [other]
        it.checks.finish(other.id, CALM)
        it.watch.start_due_checks(_next_due())
        assert [check.started_by for check in it.checks.checks] == ["ann", SCHEDULE]

    def test_with_nothing_in_production_nothing_is_checked(self, it: Watched) -> None:
        it.watch.start_due_checks(_next_due())
        assert it.checks.checks == []

    def test_a_check_that_cannot_start_is_tried_again(self, it: Watched) -> None:
        it.promote()
        it.checks.plug.pulled = True
        with pytest.raises(UnavailableError):
            it.watch.start_due_checks(_next_due())
        it.checks.plug.pulled = False
        it.watch.start_due_checks(_next_due())
        assert len(it.checks.checks) == 1


class TestFinishedChecks:
    def test_each_is_considered_once(self, it: Watched) -> None:
        it.promote()
        it.checks.find(DRIFTED)
        it.watch.consider_checks()
        (alert,) = it.world.pilothouse.alerts.list("plums")
        assert alert.check_id == "c0"
        assert it.checks.unconsidered() == []
        it.checks.find(CALM)
        it.watch.consider_checks()
        assert it.world.pilothouse.alerts.list("plums", open_only=True) == ()

    def test_an_old_batch_checked_again_says_nothing_of_newer_ones(self, it: Watched) -> None:
        it.promote()
        monday, tuesday = _now(), _now() + timedelta(seconds=1)
        it.checks.find(CALM, data_at=monday)
        it.checks.find(DRIFTED, data_at=tuesday)
        it.watch.consider_checks()
        labelled = report_of({Topic.DRIFT: OK, Topic.REALIZED_LOSS: CRITICAL})
        it.checks.find(labelled, data_at=monday)
        it.watch.consider_checks()
        alerts = it.world.pilothouse.alerts.list("plums", open_only=True)
        assert {alert.kind for alert in alerts} == {AlertKind.DRIFT, AlertKind.REALIZED_LOSS}
        it.checks.find(labelled, data_at=tuesday)
        it.watch.consider_checks()
        (alert,) = it.world.pilothouse.alerts.list("plums", open_only=True)
        assert alert.kind is AlertKind.REALIZED_LOSS

    def test_another_versions_checks_have_no_say(self, it: Watched) -> None:
        it.promote()
        it.checks.find(DRIFTED, data_at=_now() + timedelta(seconds=1))
        it.watch.consider_checks()
        check = it.checks.find(CALM, data_at=_now())
        it.checks.checks[-1] = replace(check, version=2)
        it.watch.consider_checks()
        assert it.world.pilothouse.alerts.list("plums", open_only=True) == ()

    def test_one_without_a_report_does_not_hold_up_the_others(
        self, it: Watched, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        it.promote()
        first, second = it.checks.find(CALM), it.checks.find(DRIFTED)

        def report(check_id: str) -> object:
            if check_id == first.id:
                raise NotFoundError("gone")
            return it.checks.reports[check_id]

        monkeypatch.setattr(it.checks, "report", report)
        with pytest.raises(NotFoundError):
            it.watch.consider_checks()
        assert [check.id for check in it.checks.unconsidered()] == [first.id]
        assert it.world.pilothouse.alerts.list("plums")[0].check_id == second.id


def _drift(it: Watched, labelled: int = 100) -> None:
    it.promote()
    it.batches.add("b1", labelled)
    it.checks.find(DRIFTED)
    it.watch.consider_checks()


def _beat(it: Watched, now: datetime | None = None) -> None:
    it.watch.retrain_due(["plums"], now or _now())


def _retrains(it: Watched) -> list[Run]:
    return [run for run in it.world.pilothouse.runs.list() if run.started_by == RETRAINER]


def _finish(
    it: Watched, run: Run, auc: float, scratch: Path, fingerprint: str | None = None
) -> None:
    """Does what a retrain's own process does, and what the worker does after it."""
    spec = RunSpec.model_validate_json(shlex.split(it.world.cluster.commands[job_of(run.id)])[-1])
    batches = [it.batches.labelled("plums", batch_id) for batch_id in spec.batches]
    tracker: object = it.world.tracker
    track_batches(tracker, run.id, batches, Workspace(scratch / run.id))  # type: ignore[arg-type]
    it.world.complete(run.id, auc, fingerprint=fingerprint)
    it.world.pilothouse.runs.refresh()


def _consider(it: Watched) -> None:
    for run in it.world.pilothouse.database.unconsidered_runs():
        it.world.pilothouse.promotions.consider(run)


class TestRetrain:
    def test_critical_drift_with_labels_starts_one_run(self, it: Watched) -> None:
        _drift(it)
        for _ in range(3):
            it.retraining.retrain("plums", _now())
        (run,) = _retrains(it)
        text = shlex.split(it.world.cluster.commands[job_of(run.id)])[-1]
        assert json.loads(text)["batches"] == ["b1"]
        (alert,) = it.world.pilothouse.alerts.list("plums")
        assert (alert.run_id, alert.outcome) == (run.id, "")
        tags = it.world.tracker.get(run.id).tags
        assert (tags["batches"], tags["check"], tags["alerts"]) == ("b1", "c0", alert.id)
        assert tags["cause"] == "Drift is critical by check c0."

    def test_batches_come_in_the_order_of_their_arrival(self, it: Watched) -> None:
        it.promote()
        for name in ("b3", "b1", "b2"):
            it.batches.add(name, 50)
        it.batches.add("unlabelled", 0)
        it.checks.find(DRIFTED)
        run = it.retraining.retrain("plums", _now()).run
        assert run is not None
        text = shlex.split(it.world.cluster.commands[job_of(run.id)])[-1]
        assert json.loads(text)["batches"] == ["b3", "b1", "b2"]

    def test_labels_of_an_old_batch_do_not_hide_the_drift_of_a_new_one(self, it: Watched) -> None:
        it.promote()
        it.batches.add("b1", 100)
        monday, tuesday = _now(), _now() + timedelta(seconds=1)
        it.checks.find(DRIFTED, data_at=tuesday)
        it.checks.find(report_of({Topic.DRIFT: OK, Topic.REALIZED_LOSS: OK}), data_at=monday)
        it.watch.consider_checks()
        _beat(it)
        assert len(_retrains(it)) == 1

    def test_labels_that_come_later_start_it_then(self, it: Watched) -> None:
        _drift(it, labelled=0)
        _beat(it)
        assert _retrains(it) == []
        it.batches.label("b1", 100)
        _beat(it, _now() + EVERY)
        assert len(_retrains(it)) == 1

    def test_the_policy_is_asked_twice_a_minute_at_most(self, it: Watched) -> None:
        _drift(it, labelled=0)
        now = _now()
        _beat(it, now)
        it.batches.label("b1", 100)
        _beat(it, now + EVERY / 2)
        assert _retrains(it) == []

    def test_a_better_candidate_waits_and_the_alert_says_so(
        self, it: Watched, tmp_path: Path
    ) -> None:
        _drift(it)
        _beat(it)
        (run,) = _retrains(it)
        _beat(it)
        alerts = it.world.pilothouse.alerts
        assert alerts.list()[0].outcome == ""
        _finish(it, run, 0.95, tmp_path)
        # The candidate was not looked at yet.
        _beat(it)
        assert alerts.list()[0].outcome == ""
        _consider(it)
        _beat(it)
        assert alerts.list()[0].outcome.startswith("v2 asked for approval: parity with Spark: pass")
        (request,) = it.world.pilothouse.promotions.requests("plums", open_only=True)
        assert request.requested_by == RETRAINER

    def test_one_that_fails_a_hard_gate_is_kept_out_and_the_alert_says_why(
        self, it: Watched, tmp_path: Path
    ) -> None:
        _drift(it)
        _beat(it)
        _finish(it, _retrains(it)[0], 0.9, tmp_path, "another")
        _consider(it)
        _beat(it)
        (alert,) = it.world.pilothouse.alerts.list()
        assert alert.outcome.startswith("v2 was kept out: ")
        assert "contract: fail" in alert.outcome

    def test_a_run_that_fails_is_told(self, it: Watched) -> None:
        _drift(it)
        _beat(it)
        (run,) = _retrains(it)
        it.world.tracker.finish(run.id, RunStatus.FAILED, "It broke.")
        it.world.pilothouse.runs.refresh()
        _beat(it)
        (alert,) = it.world.pilothouse.alerts.list()
        assert alert.outcome == f"Run {run.id[:8]} failed: It broke."

    def test_the_same_labels_bring_about_one_retrain(self, it: Watched, tmp_path: Path) -> None:
        _drift(it)
        _beat(it)
        _finish(it, _retrains(it)[0], 0.9, tmp_path, "another")
        _consider(it)
        later = _now() + 2 * DAY
        decision = it.retraining.decide("plums", later)
        assert [r.about for r in decision.of(Speaks.AGAINST)] == ["min_labelled_rows"]
        it.batches.label("b1", 200)
        assert it.retraining.decide("plums", later).retrain

    def test_rows_of_a_retrain_that_failed_are_still_new(self, it: Watched) -> None:
        _drift(it)
        _beat(it)
        (run,) = _retrains(it)
        it.world.tracker.finish(run.id, RunStatus.FAILED, "It broke.")
        it.world.pilothouse.runs.refresh()
        decision = it.retraining.decide("plums", _now() + 2 * DAY)
        assert decision.retrain
        # Not at once, however: what broke would break again.
        assert not it.retraining.decide("plums", _now()).retrain

    def test_a_worker_that_dies_after_starting_leaves_nothing_untold(
        self, it: Watched, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        _drift(it)
        with monkeypatch.context() as patched:

            def die(_: object) -> None:
                raise KeyboardInterrupt

            patched.setattr(it.retraining, "_tell_alerts", die)
            with pytest.raises(KeyboardInterrupt):
                it.retraining.retrain("plums", _now())
        assert it.world.pilothouse.alerts.list()[0].run_id is None
        it.retraining.retrain("plums", _now())
        (run,) = _retrains(it)
        assert it.world.pilothouse.alerts.list()[0].run_id == run.id

    def test_an_alert_about_the_data_is_not_told(self, it: Watched) -> None:
        it.promote()
        it.batches.add("b1", 100)
        it.checks.find(report_of({Topic.DRIFT: CRITICAL, Topic.QUALITY: CRITICAL}))
        it.watch.consider_checks()
        _beat(it)
        told = {a.kind.value: a.run_id for a in it.world.pilothouse.alerts.list()}
        assert told == {"drift": _retrains(it)[0].id, "data quality": None}

    def test_a_run_of_a_person_stands_in_the_way(self, it: Watched) -> None:
        _drift(it)
        run = it.world.start()
        _beat(it)
        assert _retrains(it) == []
        decision = it.retraining.decide("plums", _now())
        (reason,) = decision.of(Speaks.AGAINST)
        assert run.id[:8] in reason.text

    def test_a_cluster_that_is_down_is_asked_again(self, it: Watched) -> None:
        _drift(it)
        it.world.cluster.plug.pulled = True
        with pytest.raises(UnavailableError):
            _beat(it)
        it.world.cluster.plug.pulled = False
        _beat(it, _now() + EVERY)
        assert len([run for run in _retrains(it) if run.status.is_active]) == 1

    def test_labels_are_not_counted_where_nothing_wants_them(
        self, it: Watched, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        it.promote()
        it.batches.add("b1", 100)
        it.checks.find(CALM)

        def read(problem: str, batch_id: str) -> int:
            raise AssertionError("batches may be large")

        monkeypatch.setattr(it.retraining, "_trainable_rows", read)
        assert it.retraining.retrain("plums", _now()).run is None

    def test_an_unknown_problem_is_not_found(self, it: Watched) -> None:
        with pytest.raises(NotFoundError):
            it.retraining.decide("pears", _now())


def test_new_labels_alone_may_be_a_trigger(tmp_path: Path) -> None:
    policy = POLICY.model_copy(update={"new_labelled_rows": 60, "critical_drift": False})
    with watched(tmp_path, policy) as it:
        it.promote()
        it.batches.add("b1", 60)
        assert it.retraining.retrain("plums", _now()).run is None
        it.batches.add("b2", 60)
        assert it.retraining.retrain("plums", _now()).run is not None


def test_loss_on_old_labels_counts_though_newer_rows_have_none(tmp_path: Path) -> None:
    policy = POLICY.model_copy(update={"critical_drift": False, "realized_loss": 0.05})
    with watched(tmp_path, policy) as it:
        it.promote()
        it.batches.add("b1", 100)
        it.checks.find(CALM, data_at=_now() + timedelta(seconds=1))
        lost = report_of({Topic.REALIZED_LOSS: CRITICAL}, realized_loss=0.2)
        it.checks.find(lost, data_at=_now())
        it.watch.consider_checks()
        _beat(it)
        assert len(_retrains(it)) == 1
