"""Labels that came by HTTP: what became of them, when they are judged, and where it is told."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from core.adapters.database import Database
from core.data.label_count import HttpLabels, last_look
from core.data.labels import BY_HTTP, GIVEN_SCHEMA, LABEL_SCHEMA, LabelLog
from core.data.segments import SegmentLimits, SegmentWriter
from core.deployment.inference_log import InferenceLog, row_schema, segments_folder
from core.deployment.metrics import metrics_folder, read_metrics
from core.deployment.request_ids import new_request_id
from core.promotion.identity import WORKER
from core.promotion.trail import AuditTrail
from tests.unit.core_fakes import make_trail, make_world
from tests.unit.stores import address_in

FLUSH_S = 1.0
OLD_ID = "a" * 32


@pytest.fixture
def trail(tmp_path: Path) -> Iterator[AuditTrail]:
    database = Database(address_in(tmp_path / "home"))
    database.migrate()
    yield make_trail(database, tmp_path / "home")
    database.close()


@pytest.fixture
def labels(tmp_path: Path) -> Iterator[LabelLog]:
    log = LabelLog(tmp_path / "labels")
    yield log
    log.close()


def _id(at: datetime) -> str:
    return new_request_id(int(at.timestamp() * 1_000_000))


def _answer(folder: Path, request_id: str, rows: int, at: datetime) -> None:
    """Writes an answered request as a replica does; the segment is not yet compacted."""
    schema = row_schema({"weight": pa.float64()})
    limits = SegmentLimits(max_bytes=1 << 20, max_age_s=60.0)
    owner = f"r{threading.get_ident()}-{request_id[-6:]}"
    writer = SegmentWriter(segments_folder(folder / "inference", "plums"), owner, limits)
    values = [[request_id] * rows, range(rows), [at] * rows, [1] * rows, [4.0] * rows, [0.5] * rows]
    columns = [pa.array(list(v), f.type) for v, f in zip(values, schema, strict=True)]
    writer.append(pa.record_batch(columns, schema=schema))
    writer.close()


def _given(*labels: tuple[str, int, float]) -> pa.Table:
    columns = [list(column) for column in zip(*labels, strict=True)]
    return pa.table(columns, schema=GIVEN_SCHEMA)


def _judge_of(trail: AuditTrail, labels: LabelLog, folder: Path) -> HttpLabels:
    return HttpLabels(trail, labels, InferenceLog(folder / "inference"), FLUSH_S)


def _counted(judge: HttpLabels) -> dict[str, float]:
    return {sample.labels["fate"]: sample.value for sample in judge.family().samples}


@pytest.mark.parametrize("old_id", [False, True])
def test_each_label_by_http_is_judged_once(
    trail: AuditTrail, labels: LabelLog, tmp_path: Path, old_id: bool
) -> None:
    now = datetime.now(UTC)
    request = OLD_ID if old_id else _id(now)
    _answer(tmp_path, request, 3, now)
    labels.append("plums", _given((request, 0, 1.0)), by="ann")
    labels.append(
        "plums",
        _given((request, 0, 1.0), (request, 1, 0.0), (request, 9, 1.0), (_id(now), 0, 1.0)),
        by=BY_HTTP,
    )
    labels.append("plums", _given((request, 1, 1.0)), by=BY_HTTP)
    judge = _judge_of(trail, labels, tmp_path)
    for later in (60, 120):
        judge.judge(now + timedelta(seconds=later))
    (row,) = trail.list(None)
    said = (
        "1 label joined, 1 known already, 1 against a label that came first, which stays, "
        "2 of rows that nobody knows."
    )
    assert row.entry.detail.startswith("5 labels came by HTTP, ")
    assert row.entry.detail.endswith(said)
    assert (row.entry.actor, row.entry.problem) == (WORKER, "plums")
    assert last_look(trail, "plums") == row
    assert last_look(trail, "pears") is None
    assert _counted(judge) == {"joined": 1, "duplicate": 1, "conflict": 1, "stranger": 2}


@pytest.mark.parametrize("request_id", ["f" * 12 + "7" + "f" * 3 + "8" + "f" * 15, "ahead"])
def test_a_label_of_an_invented_request_is_a_stranger(
    trail: AuditTrail, labels: LabelLog, tmp_path: Path, request_id: str
) -> None:
    now = datetime.now(UTC)
    if request_id == "ahead":
        request_id = _id(now + timedelta(days=400))
    labels.append("plums", _given((request_id, 0, 1.0)), by=BY_HTTP)
    judge = _judge_of(trail, labels, tmp_path)
    judge.judge(now + timedelta(seconds=60))
    (row,) = trail.list(None)
    assert row.entry.detail.endswith("0 labels joined, 1 of rows that nobody knows.")
    assert _counted(judge) == {"joined": 0, "duplicate": 0, "conflict": 0, "stranger": 1}


def test_a_label_known_from_an_earlier_look_is_a_duplicate(
    trail: AuditTrail, labels: LabelLog, tmp_path: Path
) -> None:
    now = datetime.now(UTC)
    request = _id(now)
    _answer(tmp_path, request, 1, now)
    judge = _judge_of(trail, labels, tmp_path)
    labels.append("plums", _given((request, 0, 1.0)), by=BY_HTTP)
    # Up to this moment and not further.
    judge.judge(datetime.now(UTC) + timedelta(seconds=FLUSH_S + 30))
    labels.append("plums", _given((request, 0, 1.0)), by=BY_HTTP)
    judge.judge(datetime.now(UTC) + timedelta(minutes=5))
    assert trail.count() == 2
    assert _counted(judge) == {"joined": 1, "duplicate": 1, "conflict": 0, "stranger": 0}


def test_a_label_that_overtakes_its_prediction_is_no_stranger(
    trail: AuditTrail, labels: LabelLog, tmp_path: Path
) -> None:
    now = datetime.now(UTC)
    request = _id(now)
    labels.append("plums", _given((request, 0, 1.0)), by=BY_HTTP)
    judge = _judge_of(trail, labels, tmp_path)
    # As long as a flush may last it is not looked at; a second later its prediction is there.
    judge.judge(now + timedelta(seconds=FLUSH_S))
    assert trail.count() == 0
    _answer(tmp_path, request, 1, now)
    judge.judge(now + timedelta(minutes=1))
    assert _counted(judge) == {"joined": 1, "duplicate": 0, "conflict": 0, "stranger": 0}


def test_the_worker_tells_it_as_a_metric(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    home = world.pilothouse.settings.home
    past = datetime.now(UTC) - timedelta(minutes=5)
    limits = SegmentLimits(max_bytes=1 << 20, max_age_s=60.0)
    writer = SegmentWriter(home / "labels" / "plums" / "segments", "r1", limits)
    values = [[_id(past)], [0], [1.0], [past], [BY_HTTP]]
    columns = [pa.array(v, f.type) for v, f in zip(values, LABEL_SCHEMA, strict=True)]
    writer.append(pa.record_batch(columns, schema=LABEL_SCHEMA))
    writer.close()
    world.pilothouse.upkeep.run()
    (text,) = read_metrics(metrics_folder(home))
    assert 'pilothouse_labels_total{problem="plums",fate="stranger"} 1' in text
    assert 'fate="joined"} 0' in text
    world.close()
