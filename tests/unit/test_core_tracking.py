"""What a finished workspace becomes in MLflow, and how runs are read for comparison."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from core.adapters.mlflow_registry import ModelRegistry
from core.data.tables import file_md5, write_table
from core.domain import RunStatus
from core.errors import NotFoundError, UnavailableError
from core.scoring.bundle import BundleFacts
from core.training.figures import MAX_WEIGHTS, draw_figures
from core.training.provenance import Provenance
from core.training.report import EvaluationReport, FeatureWeight
from core.training.tracking import (
    COURSES,
    REPORT_FILE,
    register_version,
    track_resources,
    track_run,
)
from core.training.usage import ExecutorCourse, Phase, StageCost, Usage, UsagePoint
from core.training.workspace import Workspace, write_json
from tests.unit.core_fakes import PROBLEM, FakeRegistry, FakeTracker, World, make_world, report_of

ONNX = b"weights"
ENVIRONMENT = {"host": "here", "java": "17"}
DATA_FILE = "training-data/plums/0.parquet"
PROVENANCE = Provenance("abc123", "d" * 64, ENVIRONMENT, DATA_FILE)


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    """What the stages of a run leave behind."""
    made = Workspace(tmp_path / "workspace")
    write_table(pa.table({"row_id": [0, 1]}), made.raw)
    write_json(made.report, report_of())
    write_json(made.columns, [{"column": "stones"}])
    write_json(made.validation, [])
    write_table(pa.table({"probability": [0.5]}), made.reference)
    made.onnx.write_bytes(ONNX)
    made.figures.mkdir()
    (made.figures / "roc.csv").write_text("x,y\n")
    made.spark_model.mkdir()
    return made


def _tracked(tracker: FakeTracker, ws: Workspace) -> BundleFacts:
    adapter: Any = tracker
    run_id = tracker.create(PROBLEM.name, "run", {})
    return track_run(adapter, run_id, PROBLEM, report_of(), ws, PROVENANCE)


def usage_of() -> Usage:
    """Two phases of training, ten seconds, two stages."""
    slowest = StageCost(
        id=3,
        description="gbt: trial 1, fold 0",
        begin_s=2.0,
        seconds=4.0,
        tasks=2,
        task_s=6.0,
        gc_s=0.3,
        shuffle_mb=1.5,
        spilled_mb=0.0,
        peak_execution_memory_mb=16.0,
        skew=1.25,
    )
    return Usage(
        cores=2,
        wall_s=10.0,
        core_seconds=12.0,
        peak_rss_mb=900.0,
        mean_utilization=0.6,
        task_s=8.0,
        gc_s=0.4,
        gc_share=0.05,
        shuffle_mb=2.0,
        spilled_mb=0.0,
        peak_execution_memory_mb=16.0,
        stages=2,
        phases=tuple(
            Phase(name=name, begin_s=begin, end_s=end)
            for name, begin, end in (("preprocess", 0.0, 1.5), ("train", 2, 4), ("train", 5, 10))
        ),
        points=tuple(
            UsagePoint(
                at_s=at_s,
                driver_cores=0.5,
                executor_cores=cores,
                driver_rss_mb=400.0,
                executor_rss_mb=500.0,
            )
            for at_s, cores in ((5.1, 1.0), (10.0, 0.4))
        ),
        slowest=(slowest,),
        executors=tuple(
            ExecutorCourse(
                node=f"10.0.0.{n} (0123abcd)", pid=n, cores=(0.5, 0.2), rss_mb=(200, 300)
            )
            for n in (7, 8)
        ),
    )


class TestResources:
    def test_the_bill_is_logged_with_its_course_and_read_back(
        self, ws: Workspace, tmp_path: Path
    ) -> None:
        world = make_world(tmp_path)
        tracker: Any = world.tracker
        run_id = tracker.create(PROBLEM.name, "run", {})
        track_resources(tracker, run_id, usage_of(), ws)
        metrics = tracker.get(run_id).metrics
        assert {name: metrics.pop(name) for name in COURSES} == {
            "driver_cores": 0.5,
            "executor_cores": 0.4,
            "driver_rss_mb": 400.0,
            "executor_rss_mb": 500.0,
        }
        for number in (1, 2):
            assert metrics.pop(f"executor.{number}.cores") == 0.2
            assert metrics.pop(f"executor.{number}.rss_mb") == 300.0
        assert tracker.get(run_id).tags["executor.2"] == "10.0.0.8 (0123abcd), pid 8"
        assert tracker.history[run_id, "executor.2.cores"] == [(5, 0.5), (10, 0.2)]
        assert metrics == {
            "spark_wall_seconds": 10.0,
            "core_seconds": 12.0,
            "peak_rss_mb": 900.0,
            "mean_utilization": 0.6,
            "gc_share": 0.05,
            "task_seconds": 8.0,
            "shuffle_mb": 2.0,
            "spilled_mb": 0.0,
            "peak_execution_memory_mb": 16.0,
            "phase.preprocess_seconds": 1.5,
            "phase.train_seconds": 7.0,
        }
        assert tracker.history[run_id, "executor_cores"] == [(5, 1.0), (10, 0.4)]
        assert world.pilothouse.experiments.usage(run_id) == usage_of()
        world.close()


class TestTracking:
    def test_a_run_is_logged_with_everything(self, ws: Workspace, tmp_path: Path) -> None:
        tracker = FakeTracker()
        facts = _tracked(tracker, ws)
        run = tracker.get(facts.run_id)
        assert run.params == {"family": "gbt", "model.maxDepth": "3", "model.stepSize": "0.1"}
        assert run.metrics == pytest.approx(
            {
                "auc": 0.85,
                "auc_low": 0.8,
                "auc_high": 0.9,
                "brier": 0.1,
                "brier_low": 0.08,
                "brier_high": 0.12,
                "cv_auc": 0.84,
                "parity_max_difference": 2e-7,
            }
        )
        assert run.tags["data_version"] == f"md5:{file_md5(ws.raw)}"
        assert run.tags["data_file"] == DATA_FILE
        assert (run.tags["git_commit"], run.tags["family"]) == ("abc123", "gbt")
        assert run.tags["code_digest"] == "d" * 64
        assert json.loads(run.tags["environment"]) == ENVIRONMENT
        assert tracker.candidates == {facts.run_id: ["000-lr", "001-gbt"]}
        for name in (REPORT_FILE, "report/figures/roc.csv", "data/columns.json"):
            assert tracker.read_file(facts.run_id, name, tmp_path)

    def test_the_facts_of_the_bundle_are_those_of_the_run(self, ws: Workspace) -> None:
        facts = _tracked(FakeTracker(), ws)
        assert (facts.problem, facts.family, facts.threshold) == ("plums", "gbt", 0.45)
        assert facts.contract_fingerprint == PROBLEM.contract.fingerprint()
        assert facts.model_sha256 == hashlib.sha256(ONNX).hexdigest()
        assert set(facts.metrics) == {"auc", "brier", "cv_auc", "parity_max_difference"}

    def test_a_version_is_registered_and_the_run_knows_it(
        self, ws: Workspace, tmp_path: Path
    ) -> None:
        tracker = FakeTracker()
        registry = FakeRegistry(tracker, tmp_path / "registry")
        facts = _tracked(tracker, ws)
        adapters: tuple[Any, Any] = (tracker, registry)
        assert register_version(*adapters, PROBLEM, facts, ws) == 1
        assert tracker.get(facts.run_id).tags["model_version"] == "1"
        tags = registry.get("plums", 1).tags
        assert tags["promotion_state"] == "registered"
        assert (tags["run_id"], tags["data_version"]) == (facts.run_id, facts.data_version)
        assert tags["contract_fingerprint"] == facts.contract_fingerprint


class TestExperiments:
    @pytest.fixture
    def world(self, tmp_path: Path) -> Iterator[World]:
        made = make_world(tmp_path)
        yield made
        made.close()

    def test_runs_stand_side_by_side_newest_first(self, world: World) -> None:
        first, second = world.train(0.85), world.train(0.9)
        newest, oldest = world.pilothouse.experiments.table("plums")
        assert (newest.run, oldest.run) == (second, first)
        assert newest.metrics["auc"] == 0.9
        assert second.ended_at is not None
        taken = (second.ended_at - second.started_at).total_seconds()
        assert newest.metrics["wall_seconds"] == taken
        assert world.pilothouse.experiments.table("pears") == ()

    def test_a_run_of_dvc_repro_is_among_them(self, world: World) -> None:
        run_id = world.tracker.create("plums", "plums-dvc", {"profile": "2c-2g", "family": "lr"})
        (summary,) = world.pilothouse.experiments.table("plums")
        assert (summary.run.id, summary.run.status) == (run_id, RunStatus.RUNNING)
        assert (summary.run.profile, summary.family) == ("2c-2g", "lr")
        assert "wall_seconds" not in summary.metrics

    def test_a_report_is_read_back(self, world: World) -> None:
        run = world.train(0.875)
        assert world.pilothouse.experiments.report(run.id) == report_of(0.875)

    def test_a_run_without_a_report_is_not_found(self, world: World) -> None:
        with pytest.raises(NotFoundError):
            world.pilothouse.experiments.report(world.start().id)

    def test_a_report_of_another_release_is_not_found(self, world: World, tmp_path: Path) -> None:
        run = world.start()
        (tmp_path / "report.json").write_text('{"problem": "plums", "colour": 1}')
        world.tracker.log_files(run.id, tmp_path / "report.json", "report")
        with pytest.raises(NotFoundError, match="another release"):
            world.pilothouse.experiments.report(run.id)

    def test_a_run_whose_cost_is_unknown_or_of_another_release_is_not_found(
        self, world: World, tmp_path: Path
    ) -> None:
        run = world.start()
        with pytest.raises(NotFoundError):
            world.pilothouse.experiments.usage(run.id)
        (tmp_path / "usage.json").write_text('{"cores": 2, "colour": 1}')
        world.tracker.log_files(run.id, tmp_path / "usage.json", "resources")
        with pytest.raises(NotFoundError, match="another release"):
            world.pilothouse.experiments.usage(run.id)

    def test_mlflow_down_is_told_and_not_an_empty_table(self, world: World) -> None:
        world.tracker.plug.pulled = True
        with pytest.raises(UnavailableError):
            world.pilothouse.experiments.table("plums")


class TestFigures:
    def test_every_figure_has_its_points_beside_it(self, tmp_path: Path) -> None:
        draw_figures(report_of(), tmp_path / "a")
        names = {"roc", "precision_recall", "calibration", "confusion", "weights"}
        assert {path.name for path in (tmp_path / "a").iterdir()} == {
            f"{name}.{kind}" for name in names for kind in ("png", "csv")
        }
        assert _rows(tmp_path / "a" / "roc.csv")[1:] == [
            ["0.0", "0.0"],
            ["0.2", "0.8"],
            ["1.0"] * 2,
        ]
        assert _rows(tmp_path / "a" / "weights.csv")[1:] == [["colour", "0.7"], ["weight", "0.3"]]
        assert _rows(tmp_path / "a" / "confusion.csv")[1:] == [
            ["negative", "9", "1"],
            ["positive", "2", "8"],
        ]
        draw_figures(report_of(), tmp_path / "b")
        for path in (tmp_path / "a").iterdir():
            assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes(), path.name

    def test_a_long_list_of_weights_is_drawn_short_and_written_whole(self, tmp_path: Path) -> None:
        weights = tuple(
            FeatureWeight(feature=f"cost$_{{{n}$", weight=n - 20.0) for n in range(2 * MAX_WEIGHTS)
        )
        report = EvaluationReport(**{**dict(report_of()), "weights": weights})
        draw_figures(report, tmp_path)
        rows = _rows(tmp_path / "weights.csv")[1:]
        assert len(rows) == 2 * MAX_WEIGHTS
        assert rows[0][0] == "cost$_{0$"  # no formula to be typeset
        sizes = [abs(float(weight)) for _, weight in rows]
        assert sizes == sorted(sizes, reverse=True)


def _rows(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def test_equal_values_give_equal_json(tmp_path: Path) -> None:
    write_json(tmp_path / "deep" / "a.json", report_of())
    write_json(tmp_path / "b.json", EvaluationReport(**dict(report_of())))
    assert (tmp_path / "deep" / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    found = EvaluationReport.model_validate_json((tmp_path / "b.json").read_text())
    assert found == report_of()


def test_files_are_asked_for_where_mlflow_proxies_them(tmp_path: Path) -> None:
    client: Any = None
    registry = ModelRegistry(client, "http://tracking:5000")
    fake = FakeRegistry(FakeTracker(), tmp_path)
    run_id = fake.tracker.create("plums", "run", {})
    facts = BundleFacts.model_construct(run_id=run_id, metrics={})
    fake.register(PROBLEM, ONNX, facts, tmp_path, {}, tmp_path)
    version = replace(fake.get("plums", 1), source="mlflow-artifacts:/1/models/m-2/artifacts")
    assert registry.refer("plums", 1, version.source).url == (
        "http://tracking:5000/api/2.0/mlflow-artifacts/artifacts/1/models/m-2/artifacts"
    )
