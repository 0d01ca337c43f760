"""Starting, following and ending sweeps, with every service failing in turn."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from core.adapters.ray import JobStatus
from core.domain import Progress, RunStatus, Stage, Sweep
from core.errors import (
    ConflictError,
    InvalidInputError,
    NotFoundError,
    PilothouseError,
    ResourceError,
    UnavailableError,
)
from core.training.advice import advise
from core.training.follower import lost
from core.training.jobs import SUBMIT_GRACE_S
from core.training.sweep_spec import LOG_FILE, REPORT_FILE, SweepSpec, sweep_folder
from tests.unit.core_fakes import World, make_world
from tests.unit.sweep_values import measured, sweep_of


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = make_world(tmp_path)
    yield made
    made.close()


def _start(world: World, **changed: Any) -> Sweep:
    given = {
        "profiles": ["1c-1g", "2c-2g"],
        "families": ["lr", "gbt"],
        "repeat": 2,
        "overrides": {"search.trials": "3"},
        **changed,
    }
    return world.pilothouse.sweeps.start("plums", actor="ann", **given)


def _job(world: World) -> str:
    (job,) = world.cluster.jobs
    return job


def _finish(world: World, sweep: Sweep, tmp_path: Path, text: str | None = None) -> None:
    """Does what a sweep's own process does."""
    report = tmp_path / REPORT_FILE
    report.parent.mkdir(exist_ok=True)
    report.write_text(text or sweep_of(measured()).model_dump_json(), encoding="utf-8")
    world.tracker.log_files(sweep.id, report, "sweep")
    world.tracker.finish(sweep.id, RunStatus.FINISHED)
    world.cluster.end(_job(world), JobStatus.SUCCEEDED)


class TestStart:
    def test_a_sweep_is_queued_tracked_and_submitted(self, world: World) -> None:
        sweep = _start(world)
        assert (sweep.status, sweep.problem, sweep.repeat) == (RunStatus.QUEUED, "plums", 2)
        assert (sweep.profiles, sweep.families) == (("1c-1g", "2c-2g"), ("lr", "gbt"))
        assert sweep.started_by == "ann"
        assert world.pilothouse.sweeps.list("plums") == (sweep,)
        (command,) = world.cluster.commands.values()
        python, flag, module, text = shlex.split(command)
        assert (python, flag, module) == (sys.executable, "-m", "core.training.sweep_job")
        spec = SweepSpec.model_validate_json(text)
        assert (spec.sweep_id, spec.repeat, spec.families) == (sweep.id, 2, ("lr", "gbt"))
        assert [profile.cores for profile in spec.profiles] == [1, 2]
        assert (spec.training.search.trials, spec.training.search.families) == (3, ("lr", "gbt"))

    def test_a_sweep_is_not_among_the_runs(self, world: World) -> None:
        _start(world)
        assert world.pilothouse.runs.list() == ()
        assert world.pilothouse.experiments.table("plums") == ()

    @pytest.mark.parametrize(
        ("changed", "kind", "said"),
        [
            ({"profiles": ["1c-1g", "9c"]}, NotFoundError, "no profile called '9c'"),
            ({"profiles": ["1x0c-1g"]}, InvalidInputError, "Profile 1x0c-1g cannot be used"),
            ({"profiles": ["2c-2g", "1x2c-2g"]}, InvalidInputError, "2c-2g is given twice"),
            ({"profiles": []}, InvalidInputError, "needs profiles"),
            ({"profiles": ["1c-1g", "1c-1g"]}, InvalidInputError, "1c-1g is given twice"),
            ({"families": []}, InvalidInputError, "needs families"),
            ({"families": ["lr", "lr"]}, InvalidInputError, "lr is given twice"),
            ({"families": ["svm"]}, InvalidInputError, "no search space for svm"),
            ({"repeat": 0}, InvalidInputError, "cannot be repeated 0 times"),
            ({"overrides": {"search.trials": "0"}}, InvalidInputError, "search.trials"),
            ({"overrides": {"search.families": "[lr]"}}, InvalidInputError, "by themselves"),
        ],
    )
    def test_bad_input_is_a_clear_sentence(
        self, world: World, changed: dict[str, Any], kind: type[PilothouseError], said: str
    ) -> None:
        with pytest.raises(kind, match=said) as refused:
            _start(world, **changed)
        assert refused.value.fix
        assert world.tracker.runs == {}
        assert world.cluster.jobs == {}

    def test_an_unknown_problem_is_not_found(self, world: World) -> None:
        with pytest.raises(NotFoundError, match="pears"):
            world.pilothouse.sweeps.start(
                "pears", profiles=["1c-1g"], families=["lr"], repeat=1, overrides={}, actor="ann"
            )
        with pytest.raises(NotFoundError, match="pears"):
            world.pilothouse.sweeps.list("pears")

    def test_one_profile_larger_than_the_cluster_is_enough(self, world: World) -> None:
        world.cluster.cpus = 2
        with pytest.raises(ResourceError, match="4c-4g needs 4 cores"):
            _start(world, profiles=["1c-1g", "4c-4g"])
        assert world.tracker.runs == {}

    def test_a_second_sweep_of_a_problem_is_refused(self, world: World) -> None:
        sweep = _start(world)
        with pytest.raises(ConflictError, match=sweep.id[:8]):
            _start(world)
        world.tracker.finish(sweep.id, RunStatus.FINISHED)
        assert _start(world).id != sweep.id

    def test_a_lost_sweep_does_not_stand_in_the_way(self, world: World) -> None:
        _start(world)
        world.cluster.end(_job(world), JobStatus.FAILED)
        assert _start(world).status is RunStatus.QUEUED

    def test_a_sweep_that_cannot_be_submitted_has_failed(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(job_id: str, command: str) -> None:
            raise UnavailableError("Ray does not answer.")

        monkeypatch.setattr(world.cluster, "submit", refuse)
        with pytest.raises(UnavailableError):
            _start(world)
        (sweep,) = world.pilothouse.sweeps.list("plums")
        assert (sweep.status, sweep.error) == (RunStatus.FAILED, "Ray does not answer.")


class TestFollow:
    def test_progress_makes_a_queued_sweep_a_running_one(self, world: World) -> None:
        sweep = _start(world)
        said = Progress(Stage.TRAIN, 40, "2c-2g, gbt, repeat 1 of 2")
        world.tracker.report_progress(sweep.id, said)
        found = world.pilothouse.sweeps.get(sweep.id)
        assert (found.status, found.progress) == (RunStatus.RUNNING, said)

    @pytest.mark.parametrize("end", [JobStatus.FAILED, JobStatus.SUCCEEDED, JobStatus.STOPPED])
    def test_a_job_that_ended_without_a_word_is_lost(self, world: World, end: JobStatus) -> None:
        sweep = _start(world)
        world.cluster.end(_job(world), end)
        (found,) = world.pilothouse.sweeps.list("plums")
        assert (found.status, found.error) == (RunStatus.FAILED, lost("sweep"))
        told = world.tracker.get(sweep.id)
        assert (told.status, told.tags["error"]) == (RunStatus.FAILED, lost("sweep"))

    def test_a_job_that_ray_forgot_is_lost_after_a_grace(self, world: World) -> None:
        sweep = _start(world)
        world.cluster.jobs.clear()
        assert world.pilothouse.sweeps.get(sweep.id).status is RunStatus.QUEUED
        tracked = world.tracker.runs[sweep.id]
        earlier = tracked.started_at - timedelta(seconds=SUBMIT_GRACE_S + 1)
        world.tracker.runs[sweep.id] = replace(tracked, started_at=earlier)
        assert world.pilothouse.sweeps.get(sweep.id).error == lost("sweep")

    def test_a_sweep_that_ends_while_it_is_looked_at_is_not_lost(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sweep = _start(world)

        def ends_now(job_id: str) -> JobStatus:
            world.tracker.finish(sweep.id, RunStatus.FINISHED)
            return JobStatus.SUCCEEDED

        monkeypatch.setattr(world.cluster, "status", ends_now)
        assert world.pilothouse.sweeps.get(sweep.id).status is not RunStatus.FAILED
        assert world.pilothouse.sweeps.get(sweep.id).status is RunStatus.FINISHED

    def test_ray_down_changes_nothing(self, world: World) -> None:
        sweep = _start(world)
        world.cluster.plug.pulled = True
        assert world.pilothouse.sweeps.get(sweep.id) == sweep

    def test_mlflow_down_is_said(self, world: World) -> None:
        sweep = _start(world)
        world.tracker.plug.pulled = True
        with pytest.raises(UnavailableError, match="MLflow"):
            world.pilothouse.sweeps.get(sweep.id)

    def test_a_run_is_not_a_sweep(self, world: World) -> None:
        run = world.start()
        with pytest.raises(NotFoundError, match="not a sweep"):
            world.pilothouse.sweeps.get(run.id)

    def test_a_sweep_deleted_in_mlflow_is_not_found(self, world: World) -> None:
        sweep = _start(world)
        world.tracker.forget(sweep.id)
        with pytest.raises(NotFoundError):
            world.pilothouse.sweeps.get(sweep.id)
        assert world.pilothouse.sweeps.list("plums") == ()


class TestReport:
    def test_a_finished_sweep_has_its_report(self, world: World, tmp_path: Path) -> None:
        sweep = _start(world)
        _finish(world, sweep, tmp_path)
        report = world.pilothouse.sweeps.report(sweep.id)
        assert report == sweep_of(measured())
        assert advise(report).profile == "2c-2g"

    def test_one_that_goes_on_has_none(self, world: World) -> None:
        sweep = _start(world)
        with pytest.raises(NotFoundError, match="it is queued"):
            world.pilothouse.sweeps.report(sweep.id)

    def test_one_of_another_release_is_said(self, world: World, tmp_path: Path) -> None:
        sweep = _start(world)
        _finish(world, sweep, tmp_path, text='{"problem": "plums"}')
        with pytest.raises(NotFoundError, match="another release"):
            world.pilothouse.sweeps.report(sweep.id)

    def test_a_log_is_its_last_lines(self, world: World) -> None:
        sweep = _start(world)
        assert world.pilothouse.sweeps.log(sweep.id) == ""
        path = sweep_folder(world.pilothouse.settings.home, sweep.id) / LOG_FILE
        path.parent.mkdir(parents=True)
        path.write_text("one\ntwo\n", encoding="utf-8")
        assert world.pilothouse.sweeps.log(sweep.id, tail=1) == "two"


class TestCancel:
    def test_a_sweep_is_ended_everywhere(self, world: World) -> None:
        sweep = _start(world)
        ended = world.pilothouse.sweeps.cancel(sweep.id, actor="bob")
        assert (ended.status, ended.error) == (RunStatus.CANCELLED, "cancelled by bob")
        assert world.cluster.status(_job(world)) is JobStatus.STOPPED

    def test_an_ended_one_cannot_be_cancelled(self, world: World, tmp_path: Path) -> None:
        sweep = _start(world)
        _finish(world, sweep, tmp_path)
        with pytest.raises(ConflictError, match="finished"):
            world.pilothouse.sweeps.cancel(sweep.id, actor="bob")

    def test_one_that_finishes_while_it_is_stopped_keeps_its_report(
        self, world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        sweep = _start(world)
        monkeypatch.setattr(world.cluster, "stop", lambda _: _finish(world, sweep, tmp_path))
        with pytest.raises(ConflictError, match="finished while"):
            world.pilothouse.sweeps.cancel(sweep.id, actor="bob")
        assert world.pilothouse.sweeps.get(sweep.id).status is RunStatus.FINISHED

    def test_a_process_that_does_not_end_is_told(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sweep = _start(world)
        monkeypatch.setattr("core.training.jobs.STOP_TIMEOUT_S", 0.0)
        monkeypatch.setattr("core.training.jobs.STOP_POLL_S", 0.0)
        monkeypatch.setattr(world.cluster, "stop", lambda job_id: None)
        with pytest.raises(UnavailableError, match="not ended"):
            world.pilothouse.sweeps.cancel(sweep.id, actor="bob")
        assert world.pilothouse.sweeps.get(sweep.id).status.is_active
