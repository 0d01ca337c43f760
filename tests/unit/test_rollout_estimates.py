"""Estimated performance of both versions of a canary: which rows, how often, and what is said."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from core.bootstrap_engines import estimate_performance
from core.data.log_tables import AT_TYPE
from core.data.segments import SegmentLimits, SegmentWriter
from core.data.tables import write_table
from core.deployment.inference_log import (
    InferenceLog,
    inference_folder,
    row_schema,
    segments_folder,
)
from core.params import Params, load_params
from core.params_monitoring import PerformanceParams
from core.rollout.estimates import EVERY, MOST_ROWS, Estimator, keep_estimates, read_estimates
from core.rollout.notes import RolloutNotes, notes_file, read_notes, rollouts_folder
from core.rollout.steps import Estimates
from core.rollout.values import Rollout
from core.settings import CODE_ROOT
from tests.unit.core_fakes import PROBLEM, World, make_world
from tests.unit.rollout_values import AT, estimates_of, later, rollout_of

SCHEMA = row_schema({"weight": pa.float64()})
LIMITS = SegmentLimits(max_bytes=1 << 24, max_age_s=1e9)
NOW = later(3600)


@dataclass
class Asked:
    """What stands in for NannyML: the mean probability, and what it was asked."""

    note: str = ""
    rows: list[tuple[int, int, float]] = field(default_factory=list)

    def estimate(
        self, reference: pa.Table, answered: pa.Table, threshold: float, params: PerformanceParams
    ) -> tuple[float | None, str]:
        self.rows.append((reference.num_rows, answered.num_rows, threshold))
        assert reference.column_names == ["probability", "label"]
        if self.note:
            return None, self.note
        return float(np.mean(answered["probability"].to_numpy())), ""


@dataclass
class Stage:
    """Two trained versions, their references, and an inference log."""

    world: World
    rollout: Rollout
    asked: Asked

    def __post_init__(self) -> None:
        self.home = self.world.pilothouse.settings.home
        self.estimator = self.build(self.world.pilothouse.params)

    def build(self, params: Params) -> Estimator:
        log = InferenceLog(inference_folder(self.home), {"plums": PROBLEM.contract})
        ports: Any = (self.world.tracker, self.world.registry)
        return Estimator(params, log, *ports, self.home, self.asked.estimate)

    def answer(
        self, version: int, rows: int, since: datetime, probability: float | None = 0.5
    ) -> None:
        """So many rows by a version, a second apart."""
        begin = int(since.timestamp() * 1e6)
        batch = pa.record_batch(
            [
                pa.array([os.urandom(16).hex() for _ in range(rows)]),
                pa.array([0] * rows, pa.int64()),
                pa.array([begin + 1_000_000 * row for row in range(rows)]).cast(AT_TYPE),
                pa.array([version] * rows, pa.int64()),
                pa.array([1.0] * rows),
                pa.array([probability] * rows, pa.float64()),
            ],
            schema=SCHEMA,
        )
        folder = segments_folder(inference_folder(self.home), "plums")
        writer = SegmentWriter(folder, os.urandom(4).hex(), LIMITS)
        writer.append(batch)
        writer.close()

    def of(self, rollout: Rollout | None = None) -> Estimates:
        asked = rollout or self.rollout
        return self.estimator.of(asked, asked.step_since, NOW)


def _keep_reference(world: World, run_id: str, folder: Path, rows: int = 500) -> None:
    table = pa.table(
        {
            "row_id": list(range(rows)),
            "label": np.tile([0.0, 1.0], rows // 2),
            "probability": np.linspace(0, 1, rows),
        }
    )
    write_table(table, folder / "reference.parquet")
    world.tracker.log_files(run_id, folder / "reference.parquet", "reference")


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    world = make_world(tmp_path)
    old, new = world.train(), world.train()
    for run in (old, new):
        _keep_reference(world, run.id, tmp_path)
    rollout = rollout_of(version=2, run_id=new.id, incumbent_version=1)
    yield Stage(world, rollout, Asked())
    world.close()


class TestRows:
    def test_each_version_is_estimated_on_what_it_answered_since_the_step_began(
        self, stage: Stage
    ) -> None:
        stage.answer(2, 300, AT, 0.7)
        stage.answer(1, 900, AT, 0.6)
        # Before the step, after the question, by a third version, and no number.
        stage.answer(2, 300, later(-3600), 0.1)
        stage.answer(1, 300, later(7200), 0.1)
        stage.answer(3, 300, AT, 0.1)
        stage.answer(2, 10, AT, None)
        found = stage.of()
        assert (found.new, found.old) == (pytest.approx(0.7), pytest.approx(0.6))
        assert (found.new_rows, found.old_rows) == (300, 900)
        assert (found.step, found.metric, found.note) == (0, "roc_auc", "")
        assert stage.asked.rows == [(500, 300, 0.5), (500, 900, 0.5)]

    @pytest.mark.parametrize(("new", "old"), [(199, 900), (300, 199), (0, 0)])
    def test_too_few_rows_load_nothing(self, stage: Stage, new: int, old: int) -> None:
        for version, rows in ((2, new), (1, old)):
            if rows:
                stage.answer(version, rows, AT)
        found = stage.of()
        assert (found.new, found.old, stage.asked.rows) == (None, None, [])
        assert (found.new_rows, found.old_rows) == (new, old)
        assert found.note == (
            f"{new} rows of v2 and {old} of v1: performance is estimated from 200 of each on."
        )

    def test_in_the_last_step_the_rollout_counts_for_the_version_before(self, stage: Stage) -> None:
        last = replace(stage.rollout, step=2, started_at=later(-3600))
        stage.answer(1, 300, later(-3000), 0.6)
        stage.answer(2, 300, later(-3000), 0.1)
        stage.answer(2, 300, AT, 0.7)
        found = stage.of(last)
        assert (found.new, found.old) == (pytest.approx(0.7), pytest.approx(0.6))
        assert (found.new_rows, found.old_rows) == (300, 300)
        # In an earlier step of the same age it does not.
        assert stage.of(replace(last, step=1)).old_rows == 0

    def test_many_rows_are_sampled_and_twice_the_same(self, stage: Stage) -> None:
        last = replace(stage.rollout, step_since=later(-90_000))
        for version in (1, 2):
            stage.answer(version, MOST_ROWS + 500, later(-80_000))
        assert stage.of(last) == stage.of(last)
        assert {rows for _, rows, _ in stage.asked.rows} == {MOST_ROWS}


class TestWhatStandsInTheWay:
    def _answered(self, stage: Stage) -> Stage:
        for version in (1, 2):
            stage.answer(version, 300, AT)
        return stage

    def test_mlflow_that_is_down_is_a_note(self, stage: Stage) -> None:
        self._answered(stage).world.tracker.plug.pulled = True
        stage.world.registry.plug.pulled = True
        found = stage.of()
        assert (found.new, found.old, found.new_rows) == (None, None, 300)
        assert found.note == "Performance cannot be estimated: MLflow does not answer."
        stage.world.tracker.plug.pulled = stage.world.registry.plug.pulled = False
        assert stage.of().note == ""
        # What was fetched once is asked for no more.
        stage.world.tracker.plug.pulled = stage.world.registry.plug.pulled = True
        assert stage.of().note == ""

    def test_a_run_without_a_reference_is_a_note(self, stage: Stage) -> None:
        self._answered(stage)
        stage.world.tracker.put_file(stage.rollout.run_id, "reference/reference.parquet", None)
        assert "MLflow has no file reference/reference.parquet" in stage.of().note

    def test_a_log_that_cannot_be_read_is_a_note(self, stage: Stage) -> None:
        self._answered(stage)
        daily = inference_folder(stage.home) / "plums" / "daily" / "2026-01-31"
        daily.mkdir(parents=True)
        (daily / "v1-1.parquet").write_bytes(b"no Parquet")
        found = stage.of()
        assert (found.new, found.old, found.new_rows, found.old_rows) == (None, None, 0, 0)
        assert found.note.startswith("Performance cannot be estimated: ")

    def test_what_nannyml_cannot_do_is_a_note(self, stage: Stage) -> None:
        self._answered(stage).asked.note = "one class only"
        assert stage.of().note == "v2: one class only. v1: one class only."


class TestKept:
    def test_estimates_are_kept_and_made_anew_no_sooner_than_needed(self, stage: Stage) -> None:
        for version in (1, 2):
            stage.answer(version, 300, AT)
        first = stage.estimator.latest(stage.rollout, NOW)
        assert len(stage.asked.rows) == 2
        assert read_estimates(rollouts_folder(stage.home), stage.rollout.id) == first
        # Another process, or the same one started anew, takes what is there.
        again = stage.build(stage.world.pilothouse.params)
        assert again.latest(stage.rollout, NOW + EVERY / 2) == first
        assert len(stage.asked.rows) == 2
        again.latest(stage.rollout, NOW + EVERY)
        assert len(stage.asked.rows) == 4
        # A clock that was put back keeps nothing for ever.
        again.latest(stage.rollout, NOW)
        assert len(stage.asked.rows) == 6

    def test_another_step_has_its_own(self, stage: Stage) -> None:
        assert stage.estimator.latest(stage.rollout, NOW).step == 0
        assert stage.estimator.latest(replace(stage.rollout, step=1), NOW).step == 1

    def test_they_lie_beside_the_notes_of_replicas_and_are_none(self, tmp_path: Path) -> None:
        notes = notes_file(tmp_path, "r", "one")
        keep_estimates(tmp_path, "r", estimates_of(), AT)
        notes.write_text(RolloutNotes(failure="No memory.").model_dump_json(), encoding="utf-8")
        assert read_notes(tmp_path, "r", 5).failure == "No memory."
        assert read_estimates(tmp_path, "r") == estimates_of()
        assert [path.name for path in sorted((tmp_path / "r").iterdir())] == [
            ".estimates.json",
            "one.json",
        ]

    @pytest.mark.parametrize("text", ["", "{", '{"at": 1, "told": {}}'])
    def test_one_that_cannot_be_read_is_made_anew(self, stage: Stage, text: str) -> None:
        folder = rollouts_folder(stage.home)
        keep_estimates(folder, stage.rollout.id, estimates_of(), NOW)
        (folder / stage.rollout.id / ".estimates.json").write_text(text, encoding="utf-8")
        assert read_estimates(folder, stage.rollout.id) is None
        assert stage.estimator.latest(stage.rollout, NOW).note.startswith("0 rows of v2")

    def test_where_they_cannot_be_kept_they_are_told_all_the_same(self, stage: Stage) -> None:
        rollouts_folder(stage.home).write_text("no folder", encoding="utf-8")
        assert stage.estimator.latest(stage.rollout, NOW).note.startswith("0 rows of v2")


@pytest.mark.filterwarnings("ignore")
class TestNannyml:
    """The real library."""

    params = load_params(CODE_ROOT / "params.yaml").monitoring.performance

    def _rows(self, sharpness: float, rows: int = 3000) -> pa.Table:
        """Calibrated probabilities; the sharper, the farther from one half."""
        random = np.random.default_rng(5)
        probability = 1 / (1 + np.exp(-random.normal(0, sharpness, rows)))
        label = (random.random(rows) < probability).astype(float)
        return pa.table({"probability": probability, "label": label})

    def test_the_area_under_the_curve_is_estimated_without_labels(self) -> None:
        sharp, dull = (self._rows(sharpness) for sharpness in (2.0, 0.5))
        found = [
            estimate_performance(rows, rows.select(["probability"]), 0.5, self.params)[0]
            for rows in (sharp, dull)
        ]
        assert found == [pytest.approx(0.87, abs=0.02), pytest.approx(0.63, abs=0.03)]

    def test_the_first_metric_judges_at_the_threshold(self) -> None:
        by_accuracy = self.params.model_copy(update={"metrics": ("accuracy",)})
        rows = self._rows(2.0)
        half, all_positive = (
            estimate_performance(rows, rows.select(["probability"]), threshold, by_accuracy)[0]
            for threshold in (0.5, 0.0)
        )
        assert half is not None
        assert all_positive == pytest.approx(0.5, abs=0.03)
        assert half > 0.75

    def test_what_cannot_be_estimated_is_said(self) -> None:
        one_class = pa.table({"probability": [0.5] * 50, "label": [1.0] * 50})
        value, note = estimate_performance(
            one_class, one_class.select(["probability"]), 0.5, self.params
        )
        assert (value, note) == (
            None,
            "the reference has 0 rows of its rarer label: no performance estimate",
        )
        none = self._rows(2.0).slice(0, 0).select(["probability"])
        assert estimate_performance(self._rows(2.0), none, 0.5, self.params)[0] is None
