"""What every run tracker does: the one in memory and MLflow's."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from core.adapters.mlflow import (
    KIND_SWEEP,
    MAX_TAG,
    RunChanges,
    RunTracker,
    connected_client,
)
from core.domain import Progress, RunStatus, Stage
from core.errors import NotFoundError, UnavailableError
from tests.ray_head import free_ports
from tests.unit.core_fakes import FakeTracker, Plug

pytestmark = pytest.mark.timeout(150)
NOBODY = "f" * 32


@dataclass(frozen=True)
class Subject:
    """A tracker, what a person does and sees behind it, and one whose server is gone."""

    tracker: RunTracker | FakeTracker
    delete: Callable[[str], None]
    #: Steps and values of a run's metric, as MLflow's own pages show them.
    history: Callable[[str, str], list[tuple[int, float]]]
    unplugged: RunTracker | FakeTracker


@pytest.fixture(params=["fake", "mlflow"])
def subject(request: pytest.FixtureRequest) -> Subject:
    if request.param == "fake":
        fake = FakeTracker()
        gone = Plug("MLflow")
        gone.pulled = True
        return Subject(
            fake,
            fake.forget,
            lambda run_id, name: fake.history[run_id, name],
            FakeTracker(plug=gone),
        )
    client = connected_client(request.getfixturevalue("mlflow_url"))
    (port,) = free_ports(1)
    return Subject(
        RunTracker(client),
        client.delete_run,
        lambda run_id, name: [(m.step, m.value) for m in client.get_metric_history(run_id, name)],
        RunTracker(connected_client(f"http://127.0.0.1:{port}")),
    )


@pytest.fixture
def problem() -> str:
    """A problem nobody else uses, so that tests share one server."""
    return f"plums-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def tracker(subject: Subject) -> RunTracker | FakeTracker:
    return subject.tracker


Tracker = RunTracker | FakeTracker


def test_a_new_run_is_running_and_has_said_nothing(tracker: Tracker, problem: str) -> None:
    run_id = tracker.create(problem, "first", {"profile": "2c-2g"})
    run = tracker.get(run_id)
    assert (run.id, run.status, run.ended_at) == (run_id, RunStatus.RUNNING, None)
    assert abs(datetime.now(UTC) - run.started_at) < timedelta(minutes=1)
    assert run.tags == {"profile": "2c-2g", "kind": "run"}
    assert (run.params, run.metrics, run.progress) == ({}, {}, None)


def test_progress_is_read_back(tracker: Tracker, problem: str) -> None:
    run_id = tracker.create(problem, "first", {})
    said = Progress(Stage.TRAIN, 41, "trial 3 of 12")
    tracker.report_progress(run_id, said)
    assert tracker.get(run_id).progress == said
    tracker.report_progress(run_id, Progress(Stage.EVALUATE, 90, ""))
    assert tracker.get(run_id).progress == Progress(Stage.EVALUATE, 90, "")


@pytest.mark.parametrize("status", [RunStatus.FINISHED, RunStatus.FAILED, RunStatus.CANCELLED])
def test_a_finished_run_has_its_outcome(tracker: Tracker, problem: str, status: RunStatus) -> None:
    run_id = tracker.create(problem, "first", {})
    tracker.finish(run_id, status, "" if status is RunStatus.FINISHED else "a sentence")
    run = tracker.get(run_id)
    assert run.status is status
    assert run.ended_at is not None
    assert abs(datetime.now(UTC) - run.ended_at) < timedelta(minutes=1)
    assert run.tags.get("error") == (None if status is RunStatus.FINISHED else "a sentence")


def test_parameters_and_metrics_add_up_over_calls(tracker: Tracker, problem: str) -> None:
    run_id = tracker.create(problem, "first", {})
    tracker.log(run_id, {f"p{n}": n for n in range(150)}, {"auc": 0.8125})
    tracker.log(run_id, {"family": "gbt"}, {"auc_low": 0.75})
    run = tracker.get(run_id)
    assert run.params == {f"p{n}": str(n) for n in range(150)} | {"family": "gbt"}
    assert run.metrics == {"auc": 0.8125, "auc_low": 0.75}


def test_metrics_over_time_keep_their_steps_and_end_as_their_last_value(
    subject: Subject, problem: str
) -> None:
    run_id = subject.tracker.create(problem, "first", {})
    at_s = [0.9 + 1.01 * n for n in range(600)]
    courses = {
        "driver_cores": [n / 1000 for n in range(600)],
        "executor_rss_mb": [600.0 - n for n in range(600)],
    }
    subject.tracker.log_history(run_id, at_s, courses)
    for name, course in courses.items():
        steps = [(int(at), value) for at, value in zip(at_s, course, strict=True)]
        assert sorted(subject.history(run_id, name)) == steps
    assert subject.tracker.get(run_id).metrics == {"driver_cores": 0.599, "executor_rss_mb": 1.0}


def test_tags_replace_each_other_and_long_ones_are_cut(tracker: Tracker, problem: str) -> None:
    run_id = tracker.create(problem, "first", {"colour": "blue"})
    tracker.tag(run_id, {"colour": "yellow", "long": "x" * (MAX_TAG + 1)})
    tags = tracker.get(run_id).tags
    assert tags["colour"] == "yellow"
    assert tags["long"] == "x" * MAX_TAG


def test_the_list_is_newest_first_without_candidates(tracker: Tracker, problem: str) -> None:
    assert tracker.list(problem, 10) == ()
    first, second, third = (tracker.create(problem, name, {}) for name in "abc")
    tracker.log_candidate(problem, first, "000-lr", {"regParam": 0.1}, {"cv_auc": 0.8}, (0.7, 0.9))
    assert [run.id for run in tracker.list(problem, 10)] == [third, second, first]
    assert [run.id for run in tracker.list(problem, 2)] == [third, second]


def test_kinds_are_listed_apart(tracker: Tracker, problem: str) -> None:
    run = tracker.create(problem, "a", {})
    sweep = tracker.create(problem, "b", {}, kind=KIND_SWEEP)
    assert [one.id for one in tracker.list(problem, 10)] == [run]
    assert [one.id for one in tracker.list(problem, 10, kind=KIND_SWEEP)] == [sweep]
    assert tracker.get(sweep).tags["kind"] == KIND_SWEEP


def test_changes_are_what_goes_on_what_ended_lately_and_what_was_deleted(
    subject: Subject, problem: str
) -> None:
    tracker = subject.tracker
    long_ago = datetime(2020, 1, 1, tzinfo=UTC)
    assert tracker.changes(problem, long_ago) == RunChanges((), frozenset())
    going, ended, deleted = (tracker.create(problem, name, {}) for name in "abc")
    tracker.finish(ended, RunStatus.FINISHED)
    subject.delete(deleted)
    changes = tracker.changes(problem, long_ago)
    assert {run.id for run in changes.runs} == {going, ended}
    assert changes.deleted == {deleted}
    later = tracker.changes(problem, datetime.now(UTC) + timedelta(minutes=1))
    assert [run.id for run in later.runs] == [going]


def test_files_are_read_back(tracker: Tracker, problem: str, tmp_path: Path) -> None:
    run_id = tracker.create(problem, "first", {})
    folder = tmp_path / "figures"
    (folder / "deep").mkdir(parents=True)
    (folder / "roc.csv").write_text("x,y\n", encoding="utf-8")
    (folder / "deep" / "note.txt").write_text("ärlig", encoding="utf-8")
    tracker.log_files(run_id, folder / "roc.csv", "report")
    tracker.log_files(run_id, folder, "report/figures")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    assert tracker.read_file(run_id, "report/roc.csv", scratch) == "x,y\n"
    assert tracker.read_file(run_id, "report/figures/roc.csv", scratch) == "x,y\n"
    assert tracker.read_file(run_id, "report/figures/deep/note.txt", scratch) == "ärlig"
    copy = tracker.fetch_file(run_id, "report/roc.csv", scratch)
    assert copy.is_relative_to(scratch)
    assert copy.read_bytes() == b"x,y\n"


def test_a_file_that_is_not_there_is_not_found(
    tracker: Tracker, problem: str, tmp_path: Path
) -> None:
    run_id = tracker.create(problem, "first", {})
    with pytest.raises(NotFoundError):
        tracker.read_file(run_id, "report/report.json", tmp_path)


def test_an_unknown_run_is_not_found(tracker: Tracker, tmp_path: Path) -> None:
    attempts: list[Callable[[], object]] = [
        lambda: tracker.get(NOBODY),
        lambda: tracker.tag(NOBODY, {"a": "b"}),
        lambda: tracker.finish(NOBODY, RunStatus.FAILED, "why"),
        lambda: tracker.log(NOBODY, {"a": 1}, {}),
        lambda: tracker.log_history(NOBODY, [1.0], {"a": [1.0]}),
        lambda: tracker.read_file(NOBODY, "report/report.json", tmp_path),
    ]
    for attempt in attempts:
        with pytest.raises(NotFoundError):
            attempt()


def test_a_deleted_run_is_not_found(subject: Subject, problem: str) -> None:
    run_id = subject.tracker.create(problem, "first", {})
    subject.delete(run_id)
    with pytest.raises(NotFoundError):
        subject.tracker.get(run_id)
    assert subject.tracker.list(problem, 10) == ()


def test_a_server_that_is_gone_is_unavailable(
    subject: Subject, problem: str, tmp_path: Path
) -> None:
    gone = subject.unplugged
    attempts: list[Callable[[], object]] = [
        lambda: gone.create(problem, "first", {}),
        lambda: gone.get(NOBODY),
        lambda: gone.list(problem, 10),
        lambda: gone.finish(NOBODY, RunStatus.FAILED, "why"),
        lambda: gone.read_file(NOBODY, "report/report.json", tmp_path),
    ]
    for attempt in attempts:
        with pytest.raises(UnavailableError):
            attempt()
