"""Starting, following and ending checks, with every service failing in turn."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from core.adapters.database_checks import CheckRecords
from core.adapters.mlflow import KIND_CHECK
from core.adapters.ray import JobStatus
from core.data.tables import write_table
from core.domain import Progress, RunStatus, Stage
from core.domain_watching import AlertKind, Check, Level
from core.errors import (
    ConflictError,
    InvalidInputError,
    NotFoundError,
    PilothouseError,
    ResourceError,
    UnavailableError,
)
from core.monitoring.job_spec import (
    FOLDER,
    LOG_FILE,
    REPORT_FILE,
    CheckSpec,
    SparkSpec,
    check_folder,
)
from core.monitoring.outcome import check_metrics, check_tags
from core.monitoring.reference import References
from core.monitoring.report import DriftReport
from core.training.follower import lost
from tests.unit.check_values import drift_of, method_of, report_of
from tests.unit.core_fakes import World, make_world


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = make_world(tmp_path)
    made.put_into_production()
    made.add_batch("b1")
    yield made
    made.close()


def _start(world: World, batch_id: str | None = "b1", window: str | None = None) -> Check:
    return world.pilothouse.monitoring.start("plums", batch_id=batch_id, window=window, actor="ann")


def _job(check: Check) -> str:
    return f"plums-check-{check.id}"


def _spec(world: World, check: Check) -> CheckSpec:
    *_, text = shlex.split(world.cluster.commands[_job(check)])
    return CheckSpec.model_validate_json(text)


def _finish(world: World, check: Check, report: DriftReport | None = None, text: str = "") -> None:
    """Does what a check's own process does."""
    report = report or report_of(check.id, batch_id=check.batch_id)
    file = world.registry.folder / check.id / Path(REPORT_FILE).name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text or report.model_dump_json(), encoding="utf-8")
    world.tracker.report_progress(check.id, Progress(Stage.EVALUATE, 95, "writing the report"))
    world.tracker.log_files(check.id, file, FOLDER)
    world.tracker.tag(check.id, check_tags(report))
    world.tracker.finish(check.id, RunStatus.FINISHED)
    world.cluster.end(_job(check), JobStatus.SUCCEEDED)


class TestStart:
    def test_a_check_of_a_batch_is_queued_tracked_and_submitted(self, world: World) -> None:
        check = _start(world)
        assert (check.status, check.problem, check.version) == (RunStatus.QUEUED, "plums", 1)
        assert (check.batch_id, check.window, check.started_by) == ("b1", None, "ann")
        assert world.pilothouse.monitoring.list("plums") == (check,)
        assert [run.id for run in world.tracker.list("plums", 9, kind=KIND_CHECK)] == [check.id]
        command = shlex.split(world.cluster.commands[_job(check)])
        assert command[:3] == [sys.executable, "-m", "core.monitoring.job"]
        spec = _spec(world, check)
        production = world.pilothouse.promotions.production("plums")
        assert production is not None
        assert (spec.version, spec.run_id) == (production.version, production.run_id)
        assert (spec.batch_id, spec.data_version, spec.earlier) == ("b1", "md5:b1", ())
        assert spec.monitoring == world.pilothouse.params.monitoring

    def test_a_domain_classifier_is_trained_when_asked(self, world: World) -> None:
        assert not world.pilothouse.params.monitoring.drift.domain_classifier
        start = world.pilothouse.monitoring.start
        plain = _spec(world, start("plums", batch_id="b1", actor="ann"))
        asked = start("plums", window="24h", domain_classifier=True, actor="ann")
        drift = plain.monitoring.drift.model_copy(update={"domain_classifier": True})
        assert _spec(world, asked).monitoring == plain.monitoring.model_copy(
            update={"drift": drift}
        )
        (row,) = world.pilothouse.audit.list(1)
        assert row.entry.detail == "v1, window 24h, with a domain classifier"

    def test_spark_counts_a_batch_that_memory_is_not_to_hold(self, world: World) -> None:
        params = world.pilothouse.params
        assert _spec(world, _start(world)).spark is None
        world.add_batch("b2", rows=params.monitoring.in_memory_rows + 1)
        spec = _spec(world, _start(world, "b2"))
        assert spec.spark == SparkSpec(
            profile=params.profile_named(params.profile), params=params.training.spark
        )

    def test_a_batch_for_which_there_is_no_spark_is_refused(self, world: World) -> None:
        world.add_batch("b2", rows=world.pilothouse.params.monitoring.in_memory_rows + 1)
        world.cluster.cpus = 0.5
        with pytest.raises(ResourceError, match=r"b2 has [\d,]+ rows.* needs .* cores") as refused:
            _start(world, "b2")
        assert "monitoring.in_memory_rows" in refused.value.fix
        assert world.pilothouse.monitoring.list("plums") == ()
        assert _start(world, "b1").status is RunStatus.QUEUED

    def test_a_batch_for_which_there_is_no_spark_holds_up_no_other(self, world: World) -> None:
        _finish(world, _start(world, "b1"))
        world.add_batch("b2", rows=world.pilothouse.params.monitoring.in_memory_rows + 1)
        world.add_batch("b3")
        world.cluster.cpus = 0.5
        watch, monitoring = world.pilothouse.watch, world.pilothouse.monitoring
        watch.check_arrivals(["plums"])
        newest = monitoring.list("plums")[0]
        assert newest.batch_id == "b3"
        _finish(world, newest)
        with pytest.raises(ResourceError, match="b2"):
            watch.check_arrivals(["plums"])
        world.cluster.cpus = 4
        watch.check_arrivals(["plums"])
        assert monitoring.list("plums")[0].batch_id == "b2"

    @pytest.mark.parametrize(
        ("given", "window"),
        [(None, "24h"), ("6h", "6h"), ("87600h", "87600h"), ("5000 rows", "5000 rows")],
    )
    def test_without_a_batch_a_window_is_checked(
        self, world: World, given: str | None, window: str
    ) -> None:
        check = _start(world, None, given)
        assert (check.batch_id, check.window) == (None, window)
        assert _spec(world, check).window == window

    @pytest.mark.parametrize(
        ("problem", "batch_id", "window", "kind", "said"),
        [
            ("pears", "b1", None, NotFoundError, "no problem called 'pears'"),
            ("plums", "b9", None, NotFoundError, "no batch 'b9'"),
            ("plums", "strange", None, NotFoundError, "Batch strange is of pears"),
            ("plums", "b1", "24h", InvalidInputError, "not at both"),
            ("plums", None, "a day", InvalidInputError, "'a day' is not understood"),
            ("plums", None, "0h", InvalidInputError, "'0h' is not understood"),
            ("plums", None, "87601h", InvalidInputError, "87601h is too long"),
            ("plums", None, f"1{'0' * 5_000}h", InvalidInputError, "is too long"),
            ("plums", None, "1000000001 rows", InvalidInputError, "is too long"),
        ],
    )
    def test_bad_input_is_a_clear_sentence(
        self,
        world: World,
        problem: str,
        batch_id: str | None,
        window: str | None,
        kind: type[PilothouseError],
        said: str,
    ) -> None:
        world.add_batch("strange", "pears")
        with pytest.raises(kind, match=said):
            world.pilothouse.monitoring.start(
                problem, batch_id=batch_id, window=window, actor="ann"
            )
        assert world.tracker.list("plums", 9, kind=KIND_CHECK) == ()

    def test_nothing_in_production_is_a_clear_sentence(self, tmp_path: Path) -> None:
        empty = make_world(tmp_path / "empty")
        with pytest.raises(NotFoundError, match="no version in production") as refused:
            _start(empty, None)
        assert refused.value.fix == "Train one with `pilothouse run plums`."
        empty.close()

    def test_the_same_rows_are_not_checked_twice_at_a_time(self, world: World) -> None:
        check = _start(world)
        with pytest.raises(ConflictError, match=check.id[:8]):
            _start(world)
        assert _start(world, None).window == "24h"
        _finish(world, check)
        assert _start(world).id != check.id

    def test_earlier_checks_of_the_same_version_are_told(self, world: World) -> None:
        first = _start(world)
        _finish(world, first)
        world.add_batch("b2")
        second = _start(world, "b2")
        assert _spec(world, second).earlier == (first.id,)
        _finish(world, second)
        third = _start(world, None)
        assert _spec(world, third).earlier == (second.id, first.id)

    @pytest.mark.parametrize("which", ["tracker", "cluster"])
    def test_a_service_that_is_down_is_said(self, world: World, which: str) -> None:
        getattr(world, which).plug.pulled = True
        with pytest.raises(UnavailableError, match="does not answer"):
            _start(world)
        getattr(world, which).plug.pulled = False
        assert all(not one.status.is_active for one in world.pilothouse.monitoring.list("plums"))


class TestFollow:
    def test_progress_makes_a_queued_check_a_running_one(self, world: World) -> None:
        check = _start(world)
        assert world.pilothouse.monitoring.progress(check.id) is None
        said = Progress(Stage.EVALUATE, 45, "drift of each column")
        world.tracker.report_progress(check.id, said)
        assert world.pilothouse.monitoring.get(check.id).status is RunStatus.RUNNING
        assert world.pilothouse.monitoring.progress(check.id) == said

    def test_a_finished_check_has_its_verdict_and_report(self, world: World) -> None:
        check = _start(world)
        report = report_of(check.id, level=Level.CRITICAL, psi=0.4)
        _finish(world, check, report)
        world.pilothouse.monitoring.refresh()
        (found,) = world.pilothouse.monitoring.list("plums")
        assert (found.status, found.level, found.rows) == (
            RunStatus.FINISHED,
            Level.CRITICAL,
            100,
        )
        assert found.summary == "age moved."
        assert found.ended_at is not None
        assert world.pilothouse.monitoring.report(check.id) == report

    def test_one_that_goes_on_has_no_report(self, world: World) -> None:
        check = _start(world)
        with pytest.raises(NotFoundError, match="it is queued"):
            world.pilothouse.monitoring.report(check.id)

    def test_a_report_of_another_release_is_said(self, world: World) -> None:
        check = _start(world)
        _finish(world, check, text='{"verdict": "fine"}')
        with pytest.raises(NotFoundError, match="another release"):
            world.pilothouse.monitoring.report(check.id)

    @pytest.mark.parametrize("end", [JobStatus.FAILED, JobStatus.SUCCEEDED, JobStatus.STOPPED])
    def test_a_job_that_ended_without_a_word_is_lost(self, world: World, end: JobStatus) -> None:
        check = _start(world)
        world.cluster.end(_job(check), end)
        world.pilothouse.monitoring.refresh()
        found = world.pilothouse.monitoring.get(check.id)
        assert (found.status, found.error) == (RunStatus.FAILED, lost("check"))
        assert world.tracker.get(check.id).tags["error"] == lost("check")

    def test_a_check_deleted_in_mlflow_has_failed(self, world: World) -> None:
        check = _start(world)
        world.tracker.forget(check.id)
        assert world.pilothouse.monitoring.get(check.id).status is RunStatus.FAILED

    @pytest.mark.parametrize("which", ["tracker", "cluster"])
    def test_a_service_that_is_down_changes_nothing(self, world: World, which: str) -> None:
        check = _start(world)
        getattr(world, which).plug.pulled = True
        world.pilothouse.monitoring.refresh()
        assert world.pilothouse.monitoring.get(check.id) == check

    def test_a_log_is_its_last_lines(self, world: World) -> None:
        check = _start(world)
        assert world.pilothouse.monitoring.log(check.id) == ""
        path = check_folder(world.pilothouse.settings.home, check.id) / LOG_FILE
        path.parent.mkdir(parents=True)
        path.write_text("one\ntwo\n", encoding="utf-8")
        assert world.pilothouse.monitoring.log(check.id, tail=1) == "two"


class TestCancel:
    def test_a_check_is_ended_everywhere(self, world: World) -> None:
        check = _start(world)
        ended = world.pilothouse.monitoring.cancel(check.id, actor="bob")
        assert (ended.status, ended.error) == (RunStatus.CANCELLED, "cancelled by bob")
        assert world.cluster.status(_job(check)) is JobStatus.STOPPED
        assert world.tracker.get(check.id).status is RunStatus.CANCELLED
        with pytest.raises(ConflictError, match="has ended already"):
            world.pilothouse.monitoring.cancel(check.id, actor="bob")

    def test_one_that_finishes_while_it_is_stopped_keeps_its_report(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        check = _start(world)
        monkeypatch.setattr(world.cluster, "stop", lambda _: _finish(world, check))
        with pytest.raises(ConflictError, match="finished while"):
            world.pilothouse.monitoring.cancel(check.id, actor="bob")
        assert world.pilothouse.monitoring.get(check.id).status is RunStatus.FINISHED


class TestRecords:
    def test_finished_checks_wait_to_be_considered_once(self, world: World) -> None:
        records = CheckRecords(world.pilothouse.database)
        first, second = _start(world), _start(world, None)
        assert records.unconsidered() == ()
        for check in (first, second):
            _finish(world, check)
        world.pilothouse.monitoring.refresh()
        assert [one.id for one in records.unconsidered()] == [first.id, second.id]
        records.mark_considered(first.id, [AlertKind.DRIFT])
        assert records.get(first.id).told == (AlertKind.DRIFT,)
        assert [one.id for one in records.unconsidered()] == [second.id]

    def test_an_unknown_check_is_not_found(self, world: World) -> None:
        with pytest.raises(NotFoundError, match="'9'"):
            world.pilothouse.monitoring.get("9")

    def test_lists_are_newest_first_and_cut(self, world: World) -> None:
        checks = [_start(world), _start(world, None), _start(world, None, "6h")]
        found = world.pilothouse.monitoring.list(limit=2)
        assert found == tuple(reversed(checks))[:2]


def _references(world: World) -> References:
    tracker: Any = world.tracker
    core = world.pilothouse
    return References(core.promotions, tracker, core.settings.home)


class TestReference:
    def test_it_is_fetched_once_and_read_from_disk(self, world: World, tmp_path: Path) -> None:
        production = world.pilothouse.promotions.production("plums")
        assert production is not None
        table = pa.table({"row_id": [0, 1], "weight": [1.0, 2.0]})
        write_table(table, tmp_path / "reference.parquet")
        world.tracker.log_files(production.run_id, tmp_path / "reference.parquet", "reference")
        references = _references(world)
        found = references.of("plums")
        assert (found.version, found.run_id) == (1, production.run_id)
        world.tracker.plug.pulled = True
        assert references.of("plums").table.equals(table)

    def test_a_run_that_keeps_none_is_said(self, world: World) -> None:
        with pytest.raises(NotFoundError, match=r"reference\.parquet"):
            _references(world).of("plums")
        assert list((world.pilothouse.settings.home / "references").iterdir()) == []


def test_metrics_have_names_that_mlflow_takes() -> None:
    strange = drift_of('size "$"', 0.4, methods=(method_of(),))
    metrics = check_metrics(report_of(features=(strange,)))
    assert metrics["psi.size ___"] == 0.4
    assert metrics["jensen_shannon.size ___"] == 0.05
    assert metrics["estimated.roc_auc"] == metrics["reference.roc_auc"] == 0.9
    assert "realized.roc_auc" not in metrics
