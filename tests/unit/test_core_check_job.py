"""A whole check in one process: rows from disk, a scorer, NannyML, history, report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.bootstrap import Tracking, connect_arrivals
from core.data.batch_files import batch_file
from core.data.batch_pieces import Piece, cut_pieces
from core.data.labels import GIVEN_SCHEMA, LabelLog, labels_folder
from core.data.tables import write_table
from core.domain import RunStatus
from core.domain_watching import Level
from core.errors import NotFoundError
from core.monitoring import job
from core.monitoring.arrivals import Arrivals, with_probability
from core.monitoring.columns import Tallies
from core.monitoring.counting import CountTask, OnShare, count_here
from core.monitoring.job_spec import REPORT_FILE, CheckSpec
from core.monitoring.report import DriftReport, Topic
from core.problems.contract import Columns
from tests.unit.check_values import POLICY
from tests.unit.core_fakes import PROBLEM, World, make_world

pytestmark = pytest.mark.filterwarnings("ignore")
BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
QUICK = POLICY.model_copy(
    update={
        "drift": POLICY.drift.model_copy(
            update={
                "continuous_methods": ("jensen_shannon",),
                "categorical_methods": ("jensen_shannon",),
            }
        ),
        "performance": POLICY.performance.model_copy(update={"metrics": ("roc_auc",)}),
    }
)


def _probability(weight: np.ndarray) -> np.ndarray:
    """What the version in production says, which looks at the weight alone."""
    return 1 / (1 + np.exp(-(weight - 50) / 10))


def _rows(rows: int, mean: float = 50.0, seed: int = 1) -> pa.Table:
    random = np.random.default_rng(seed)
    weight = random.normal(mean, 12, rows)
    return pa.table(
        {
            "row_id": pa.array(range(rows), pa.int64()),
            "weight": weight,
            "stones": random.integers(1, 4, rows).astype(float),
            "colour": random.choice(["blue", "yellow"], rows).tolist(),
            "label": (random.uniform(size=rows) < _probability(weight)).astype(float),
        }
    )


def _without_labels(table: pa.Table) -> pa.Table:
    place = table.schema.get_field_index("label")
    return table.set_column(place, "label", pa.nulls(table.num_rows, pa.float64()))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = make_world(tmp_path)
    run = made.put_into_production()
    reference = _rows(2000)
    probability = pa.array(_probability(reference.column("weight").to_numpy()))
    file = tmp_path / "reference.parquet"
    write_table(reference.append_column("probability", probability), file)
    made.tracker.log_files(run.id, file, "reference")
    made.tracker.tag(run.id, {"data_version": "md5:abc"})
    yield made
    made.close()


def _deliver(world: World, batch_id: str, table: pa.Table) -> None:
    write_table(table, batch_file(world.pilothouse.settings.home, "plums", batch_id))


def _check(world: World, number: int, *, earlier: tuple[str, ...] = (), **of: Any) -> DriftReport:
    production = world.pilothouse.promotions.production("plums")
    assert production is not None
    check_id = world.tracker.create("plums", f"check {number}", {}, kind="check")
    spec = CheckSpec(
        check_id=check_id,
        problem="plums",
        started_at=BEGIN + timedelta(days=number),
        version=1,
        run_id=production.run_id,
        batch_id=of.get("batch_id"),
        data_version="md5:1",
        window=of.get("window"),
        monitoring=QUICK,
        # That there is no Spark here is no matter: pieces are counted by ``count_here``.
        spark=None,
        earlier=earlier,
    )
    settings = world.pilothouse.settings
    arrivals: Arrivals = connect_arrivals(settings, {"plums": PROBLEM})
    tracker: Any = world.tracker
    registry: Any = world.registry
    doors = Tracking(tracker, registry)
    count = of.get("count")
    report = job.run_check(spec, PROBLEM, settings.home, doors, arrivals, count)
    job.track_check(tracker, spec, report)
    world.tracker.finish(check_id, RunStatus.FINISHED)
    return report


def test_a_batch_like_the_reference_is_found_sound_and_tracked(world: World) -> None:
    _deliver(world, "b1", _rows(1000, seed=2))
    report = _check(world, 1, batch_id="b1")
    assert report.verdict.level is Level.OK, report.verdict.summary
    compared = report.compared
    assert (compared.reference.rows, compared.reference.data_version) == (2000, "md5:abc")
    assert (compared.analysis.rows, compared.analysis.data_version) == (1000, "md5:1")
    assert report.labelled_rows == 1000
    assert world.tracker.get(compared.check_id).tags["level"] == "ok"
    told = world.tracker.read_file(compared.check_id, REPORT_FILE, world.registry.folder)
    assert DriftReport.model_validate_json(told) == report
    world.tracker.fetch_file(
        compared.check_id, "monitoring/figures/performance.png", world.registry.folder
    )


def test_a_warning_in_two_checks_running_is_critical_but_not_of_the_same_rows(
    world: World,
) -> None:
    moved = _without_labels(_rows(1000, mean=56.0, seed=3))
    for batch_id in ("b1", "b2"):
        _deliver(world, batch_id, moved)
    first = _check(world, 1, batch_id="b1")
    assert first.verdict.level is Level.WARNING, first.verdict.summary
    ids = (first.compared.check_id,)
    assert _check(world, 2, batch_id="b1", earlier=ids).verdict.level is Level.WARNING
    assert _check(world, 3, batch_id="b2", earlier=ids).verdict.level is Level.CRITICAL


def test_labels_that_came_late_tell_of_the_last_check(world: World) -> None:
    _deliver(world, "b1", _without_labels(_rows(1000, seed=2)))
    _deliver(world, "b2", _without_labels(_rows(1000, seed=4)))
    first = _check(world, 1, batch_id="b1")
    assert first.verdict.of(Topic.REALIZED_LOSS) == ()
    # What was said to be one is the other: the estimate could not know.
    labels = pa.table(
        {
            "source": ["b1"] * 1000,
            "row_id": pa.array(range(1000), pa.int64()),
            "label": 1 - _rows(1000, seed=2).column("label").to_numpy(),
        },
        schema=GIVEN_SCHEMA,
    )
    log = LabelLog(labels_folder(world.pilothouse.settings.home))
    log.append("plums", labels, by="ann")
    log.close()
    second = _check(world, 2, batch_id="b2", earlier=(first.compared.check_id,))
    (reason,) = second.verdict.of(Topic.REALIZED_LOSS)
    assert reason.level is Level.CRITICAL
    assert first.compared.check_id[:8] in reason.text
    assert second.estimator is not None
    assert not second.estimator.trusted
    (past,) = second.estimator.past
    assert (past.check_id, past.rows) == (first.compared.check_id, 1000)
    assert past.error > 0.3


def test_a_check_in_pieces_reports_what_one_in_memory_reports(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    sampled = QUICK.model_copy(update={"sample_rows": 1000})
    monkeypatch.setattr("tests.unit.test_core_check_job.QUICK", sampled)
    home = world.pilothouse.settings.home
    _deliver(world, "b1", _rows(1000, mean=56.0, seed=3))
    first = _check(world, 1, batch_id="b1")
    table = _without_labels(_rows(3000, mean=58.0, seed=5))
    pq.write_table(table, batch_file(home, "plums", "b2"), row_group_size=128)
    log = LabelLog(labels_folder(home))
    late = {"source": ["b2"] * 600, "row_id": list(range(600)), "label": [1.0, 0.0] * 300}
    log.append("plums", pa.table(late, schema=GIVEN_SCHEMA), by="ann")
    log.close()

    def count(task: CountTask, pieces: Sequence[Piece], on_share: OnShare) -> Tallies:
        on_share(0.5, "half of it")
        return count_here(task, [*reversed(cut_pieces(task.path, 500))], on_share)

    earlier = (first.compared.check_id,)
    whole = _check(world, 2, batch_id="b2", earlier=earlier)
    pieces = _check(world, 2, batch_id="b2", earlier=earlier, count=count)
    assert whole.verdict.level is Level.CRITICAL
    assert (whole.labelled_rows, whole.compared.analysis.sampled_rows) == (600, 1000)
    assert whole.estimator is not None
    assert len(whole.estimator.past) == 2
    ids = [report.compared.check_id for report in (whole, pieces)]
    assert pieces.model_dump_json().replace(ids[1], ids[0]) == whole.model_dump_json()


def test_an_empty_window_is_not_enough(world: World) -> None:
    report = _check(world, 1, window="24h")
    assert report.verdict.summary == "not enough data (0 of 50)."
    assert report.compared.window == "24h"


def test_rows_that_are_gone_are_said(world: World) -> None:
    with pytest.raises(NotFoundError, match="rows of batch b9"):
        _check(world, 1, batch_id="b9")


def test_rows_that_another_version_answered_are_scored_anew() -> None:
    rows = _rows(4)
    logged = rows.append_column("version", pa.array([1, 2, 1, 2])).append_column(
        "probability", pa.array([0.1, 0.2, 0.3, 0.4])
    )

    def score(columns: Columns) -> np.ndarray:
        return np.full(len(columns["weight"]), 0.9)

    table, anew = with_probability(logged, PROBLEM.contract, 1, score)
    assert anew == 2
    assert table.column("probability").to_pylist() == [0.1, 0.9, 0.3, 0.9]
    same, none = with_probability(
        logged.filter(pa.array([True, False] * 2)), PROBLEM.contract, 1, score
    )
    assert (same.column("probability").to_pylist(), none) == ([0.1, 0.3], 0)
