"""Starting, following and ending runs, with every service failing in turn."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from core.adapters.ray import JobStatus
from core.domain import Progress, Run, RunStatus, Stage
from core.errors import (
    ConflictError,
    InvalidInputError,
    NotFoundError,
    ResourceError,
    UnavailableError,
)
from core.training.follower import lost
from core.training.job_spec import LOG_FILE, RunSpec, run_folder
from core.training.jobs import SUBMIT_GRACE_S
from core.training.runs import RunService
from tests.unit.core_fakes import PROBLEM, World, job_of, make_world


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = make_world(tmp_path)
    yield made
    made.close()


def _start(world: World, profile: str | None = None, **overrides: str) -> Run:
    dotted = {key.replace("__", "."): value for key, value in overrides.items()}
    return world.pilothouse.runs.start("plums", profile=profile, overrides=dotted, actor="ann")


def _age(world: World, run: Run, seconds: float) -> None:
    """Makes a run look as if it had started earlier."""
    earlier = run.started_at - timedelta(seconds=seconds)
    world.pilothouse.database.save_active_run(replace(run, started_at=earlier))


class TestStart:
    def test_a_run_is_queued_tracked_and_submitted(self, world: World) -> None:
        run = _start(world, "1c-1g", search__trials="3")
        assert (run.status, run.profile, run.started_by) == (RunStatus.QUEUED, "1c-1g", "ann")
        tags = world.tracker.get(run.id).tags
        assert tags["problem"] == "plums"
        assert (tags["profile"], tags["started_by"]) == ("1c-1g", "ann")
        assert world.pilothouse.runs.list() == (run,)
        python, flag, module, spec_text = shlex.split(world.cluster.commands[job_of(run.id)])
        assert (python, flag, module) == (sys.executable, "-m", "core.training.job")
        spec = RunSpec.model_validate_json(spec_text)
        assert (spec.run_id, spec.problem, spec.profile.name) == (run.id, "plums", "1c-1g")
        assert spec.training.search.trials == 3
        assert json.loads(spec_text)["git_commit"]

    def test_the_default_profile_is_that_of_the_parameters(self, world: World) -> None:
        assert _start(world).profile == world.pilothouse.params.profile

    def test_an_unknown_problem_is_not_found(self, world: World) -> None:
        with pytest.raises(NotFoundError, match="pears"):
            world.pilothouse.runs.start("pears", profile=None, overrides={}, actor="ann")
        assert world.tracker.runs == {}

    def test_a_written_profile_is_recorded_as_a_named_one_is(self, world: World) -> None:
        run = _start(world, "2x1c-3g")
        assert run.profile == world.tracker.get(run.id).tags["profile"] == "2x1c-3g"
        assert world.pilothouse.runs.get(run.id).profile == "2x1c-3g"
        *_, spec_text = shlex.split(world.cluster.commands[job_of(run.id)])
        profile = RunSpec.model_validate_json(spec_text).profile
        assert (profile.executors, profile.cores, profile.memory_mb) == (2, 2, 3072)

    def test_a_written_profile_the_cluster_cannot_give_is_refused(self, world: World) -> None:
        with pytest.raises(ResourceError, match="Profile 64x1c-64g needs 64 cores"):
            _start(world, "64x1c-64g")
        assert world.tracker.runs == {}

    def test_an_unknown_profile_is_not_found(self, world: World) -> None:
        with pytest.raises(NotFoundError, match="9c"):
            _start(world, "9c")
        assert world.tracker.runs == {}

    def test_a_bad_override_is_refused(self, world: World) -> None:
        with pytest.raises(InvalidInputError):
            _start(world, search__trials="none")
        assert world.tracker.runs == {}

    def test_a_family_without_a_search_space_is_refused(self, world: World) -> None:
        problem = replace(PROBLEM, search_space={"lr": {"regParam": (0.1,)}})
        own: Any = world  # the fakes stand for the adapters
        runs = RunService(
            world.pilothouse.params,
            {"plums": problem},
            world.pilothouse.database,
            own.tracker,
            own.cluster,
            world.pilothouse.settings.home,
            world.pilothouse.audit,
        )
        with pytest.raises(InvalidInputError) as refused:
            runs.start("plums", profile=None, overrides={}, actor="ann")
        assert [o.problem for o in refused.value.offences] == [
            "rf has no space",
            "gbt has no space",
        ]
        only_lr = {"search.families": "[lr]"}
        assert runs.start("plums", profile=None, overrides=only_lr, actor="ann")

    def test_a_second_run_of_a_problem_is_refused(self, world: World) -> None:
        run = _start(world)
        with pytest.raises(ConflictError, match=run.id[:8]):
            _start(world)
        assert list(world.tracker.runs) == [run.id]

    def test_a_run_that_ended_unseen_does_not_stand_in_the_way(self, world: World) -> None:
        run = _start(world)
        world.tracker.finish(run.id, RunStatus.FINISHED)
        second = _start(world)
        assert [r.id for r in world.pilothouse.runs.list()] == [second.id, run.id]

    def test_a_run_lost_to_a_faster_one_is_closed_in_mlflow(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        create = world.tracker.create

        def slow(problem: str, name: str, tags: dict[str, str]) -> str:
            faster = Run("faster", "plums", RunStatus.QUEUED, "", "bob", world.tracker.clock)
            world.pilothouse.database.add_run(faster)
            return create(problem, name, tags)

        monkeypatch.setattr(world.tracker, "create", slow)
        with pytest.raises(ConflictError):
            _start(world)
        (loser,) = world.tracker.runs.values()
        assert loser.status is RunStatus.CANCELLED
        assert world.cluster.jobs == {}

    def test_a_profile_the_cluster_cannot_give_is_refused(self, world: World) -> None:
        world.cluster.cpus = 2
        with pytest.raises(ResourceError, match="4c-4g"):
            _start(world, "4c-4g")
        assert world.tracker.runs == {}

    def test_nothing_is_left_when_ray_is_down_before_the_start(self, world: World) -> None:
        world.cluster.plug.pulled = True
        with pytest.raises(UnavailableError):
            _start(world)
        assert world.tracker.runs == {}
        assert world.pilothouse.runs.list() == ()

    def test_nothing_is_left_when_mlflow_is_down(self, world: World) -> None:
        world.tracker.plug.pulled = True
        with pytest.raises(UnavailableError):
            _start(world)
        assert world.pilothouse.runs.list() == ()
        assert world.cluster.jobs == {}

    @pytest.mark.parametrize("mlflow_is_down_too", [False, True])
    def test_a_run_that_cannot_be_submitted_has_failed(
        self, world: World, monkeypatch: pytest.MonkeyPatch, mlflow_is_down_too: bool
    ) -> None:
        def refuse(job_id: str, command: str) -> None:
            world.tracker.plug.pulled = mlflow_is_down_too
            raise UnavailableError("Ray does not answer.")

        monkeypatch.setattr(world.cluster, "submit", refuse)
        with pytest.raises(UnavailableError, match="Ray"):
            _start(world)
        (run,) = world.pilothouse.runs.list()
        assert (run.status, run.error) == (RunStatus.FAILED, "Ray does not answer.")
        assert run.ended_at is not None
        world.tracker.plug.pulled = False
        told = world.tracker.get(run.id).status
        assert told is (RunStatus.RUNNING if mlflow_is_down_too else RunStatus.FAILED)


class TestFollow:
    def test_progress_makes_a_queued_run_a_running_one(self, world: World) -> None:
        run = _start(world)
        assert world.pilothouse.runs.get(run.id).status is RunStatus.QUEUED
        said = Progress(Stage.TRAIN, 40, "trial 2")
        world.tracker.report_progress(run.id, said)
        found = world.pilothouse.runs.get(run.id)
        assert (found.status, found.progress) == (RunStatus.RUNNING, said)
        assert world.pilothouse.database.run(run.id) == found

    def test_a_finished_run_has_its_version(self, world: World) -> None:
        run = world.train()
        assert (run.status, run.model_version) == (RunStatus.FINISHED, 1)
        assert run.ended_at == world.tracker.get(run.id).ended_at

    def test_a_failed_run_has_its_sentence(self, world: World) -> None:
        run = _start(world)
        world.tracker.finish(run.id, RunStatus.FAILED, "Rows were lost.")
        found = world.pilothouse.runs.get(run.id)
        assert (found.status, found.error) == (RunStatus.FAILED, "Rows were lost.")

    @pytest.mark.parametrize("end", [JobStatus.FAILED, JobStatus.SUCCEEDED, JobStatus.STOPPED])
    def test_a_job_that_ended_without_a_word_is_lost(self, world: World, end: JobStatus) -> None:
        run = _start(world)
        world.cluster.end(job_of(run.id), end)
        (found,) = world.pilothouse.runs.list()
        assert (found.status, found.error) == (RunStatus.FAILED, lost("run"))
        told = world.tracker.get(run.id)
        assert (told.status, told.tags["error"]) == (RunStatus.FAILED, lost("run"))

    def test_a_job_that_ray_forgot_is_lost_after_a_grace(self, world: World) -> None:
        run = _start(world)
        del world.cluster.jobs[job_of(run.id)]
        assert world.pilothouse.runs.get(run.id).status is RunStatus.QUEUED
        _age(world, run, SUBMIT_GRACE_S + 1)
        assert world.pilothouse.runs.get(run.id).error == lost("run")

    def test_a_run_that_ends_while_it_is_looked_at_is_not_lost(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run = _start(world)

        def ends_now(job_id: str) -> JobStatus:
            world.tracker.finish(run.id, RunStatus.FINISHED)
            return JobStatus.SUCCEEDED

        monkeypatch.setattr(world.cluster, "status", ends_now)
        assert world.pilothouse.runs.get(run.id).status is not RunStatus.FAILED
        assert world.pilothouse.runs.get(run.id).status is RunStatus.FINISHED

    def test_mlflow_down_changes_nothing(self, world: World) -> None:
        run = _start(world)
        world.tracker.plug.pulled = True
        world.cluster.end(job_of(run.id), JobStatus.FAILED)
        assert world.pilothouse.runs.list() == (run,)

    def test_mlflow_going_down_half_way_changes_nothing(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run = _start(world)

        def unplugs(job_id: str) -> JobStatus:
            world.tracker.plug.pulled = True
            return JobStatus.FAILED

        monkeypatch.setattr(world.cluster, "status", unplugs)
        assert world.pilothouse.runs.list() == (run,)

    def test_ray_down_changes_nothing(self, world: World) -> None:
        run = _start(world)
        world.cluster.plug.pulled = True
        _age(world, run, SUBMIT_GRACE_S + 1)
        assert world.pilothouse.runs.get(run.id).status is RunStatus.QUEUED

    def test_a_run_deleted_in_mlflow_has_failed(self, world: World) -> None:
        run = _start(world)
        world.tracker.forget(run.id)
        (found,) = world.pilothouse.runs.list()
        assert (found.status, found.error) == (RunStatus.FAILED, "The run was deleted in MLflow.")

    def test_an_ended_run_is_asked_about_no_more(self, world: World) -> None:
        run = world.train()
        world.tracker.forget(run.id)
        world.cluster.plug.pulled = True
        assert world.pilothouse.runs.get(run.id) == run

    def test_an_unknown_run_is_not_found(self, world: World) -> None:
        for ask in (world.pilothouse.runs.get, world.pilothouse.runs.log):
            with pytest.raises(NotFoundError):
                ask("nobody")


class TestLog:
    def test_a_log_is_its_last_lines(self, world: World) -> None:
        run = _start(world)
        assert world.pilothouse.runs.log(run.id) == ""
        path = run_folder(world.pilothouse.settings.home, run.id) / LOG_FILE
        path.parent.mkdir(parents=True)
        path.write_bytes(b"one\ntwo \xff\nthree\n")
        assert world.pilothouse.runs.log(run.id) == "one\ntwo \N{REPLACEMENT CHARACTER}\nthree"
        assert world.pilothouse.runs.log(run.id, tail=1) == "three"


class TestCancel:
    def test_a_run_is_ended_everywhere(self, world: World) -> None:
        run = _start(world)
        ended = world.pilothouse.runs.cancel(run.id, actor="bob")
        assert (ended.status, ended.error) == (RunStatus.CANCELLED, "cancelled by bob")
        assert world.cluster.status(job_of(run.id)) is JobStatus.STOPPED
        assert world.tracker.get(run.id).status is RunStatus.CANCELLED
        assert world.pilothouse.runs.list() == (ended,)
        assert _start(world).status is RunStatus.QUEUED

    def test_cancelling_waits_for_the_process(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run = _start(world)
        monkeypatch.setattr("core.training.jobs.STOP_POLL_S", 0.0)
        answers = iter([JobStatus.RUNNING, JobStatus.RUNNING, JobStatus.RUNNING])
        monkeypatch.setattr(
            world.cluster, "status", lambda job_id: next(answers, JobStatus.STOPPED)
        )
        assert world.pilothouse.runs.cancel(run.id, actor="bob").status is RunStatus.CANCELLED
        assert next(answers, None) is None

    def test_a_process_that_does_not_end_is_told(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run = _start(world)
        monkeypatch.setattr("core.training.jobs.STOP_TIMEOUT_S", 0.0)
        monkeypatch.setattr("core.training.jobs.STOP_POLL_S", 0.0)
        monkeypatch.setattr(world.cluster, "stop", lambda job_id: None)
        with pytest.raises(UnavailableError, match="not ended"):
            world.pilothouse.runs.cancel(run.id, actor="bob")
        assert world.pilothouse.runs.get(run.id).status.is_active

    def test_an_ended_run_cannot_be_cancelled(self, world: World) -> None:
        run = world.train()
        with pytest.raises(ConflictError, match="finished"):
            world.pilothouse.runs.cancel(run.id, actor="bob")
        assert world.pilothouse.runs.get(run.id) == run

    def test_a_run_that_finishes_while_it_is_stopped_keeps_its_version(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run = _start(world)

        def finish_first(job_id: str) -> None:
            world.tracker.tag(run.id, {"model_version": "7"})
            world.tracker.finish(run.id, RunStatus.FINISHED)
            world.cluster.jobs[job_id] = JobStatus.SUCCEEDED

        monkeypatch.setattr(world.cluster, "stop", finish_first)
        with pytest.raises(ConflictError, match="finished while"):
            world.pilothouse.runs.cancel(run.id, actor="bob")
        found = world.pilothouse.runs.get(run.id)
        assert (found.status, found.model_version) == (RunStatus.FINISHED, 7)

    def test_a_follower_does_not_overwrite_a_cancelled_run(self, world: World) -> None:
        run = _start(world)
        world.pilothouse.runs.cancel(run.id, actor="bob")
        database = world.pilothouse.database
        assert not database.save_active_run(replace(run, status=RunStatus.FAILED))
        assert database.run(run.id).status is RunStatus.CANCELLED

    def test_ray_down_cancels_nothing(self, world: World) -> None:
        run = _start(world)
        world.cluster.plug.pulled = True
        with pytest.raises(UnavailableError):
            world.pilothouse.runs.cancel(run.id, actor="bob")
        assert world.pilothouse.runs.get(run.id).status.is_active

    def test_mlflow_down_does_not_keep_a_run_alive(self, world: World) -> None:
        run = _start(world)
        world.tracker.plug.pulled = True
        assert world.pilothouse.runs.cancel(run.id, actor="bob").status is RunStatus.CANCELLED
