"""The worker's duty towards the logs: rare, and cheap when there is nothing to do."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa

from core.adapters.database import Database
from core.data.labels import GIVEN_SCHEMA, LabelLog
from core.data.log_tables import AT_TYPE
from core.data.segments import SegmentLimits, SegmentWriter, segments_in
from core.deployment.inference_log import InferenceLog, row_schema, segments_folder
from core.deployment.upkeep import EVERY_S, LogUpkeep
from core.params import load_params
from core.params_inference import InferenceLogParams
from core.rollout.notes import RolloutNotes, notes_file, write_notes
from core.settings import CODE_ROOT
from tests.unit.core_fakes import make_trail
from tests.unit.stores import address_in

KEPT = load_params(CODE_ROOT / "params.yaml").serving.inference_log


def write_row(folder: Path, at: datetime) -> None:
    schema = row_schema({"weight": pa.float64()})
    values = [["a" * 32], [0], [at], [1], [40.0], [0.5]]
    limits = SegmentLimits(max_bytes=1 << 20, max_age_s=60.0)
    writer = SegmentWriter(segments_folder(folder, "plums"), "r1", limits)
    columns = [pa.array(v, f.type) for v, f in zip(values, schema, strict=True)]
    writer.append(pa.record_batch(columns, schema=schema))
    writer.close()


def test_logs_are_compacted_and_pruned_once_a_minute(tmp_path: Path) -> None:
    now = 1000.0
    inference, labels = InferenceLog(tmp_path / "inference"), LabelLog(tmp_path / "labels")
    database = Database(address_in(tmp_path / "home"))
    database.migrate()
    trail = make_trail(database, tmp_path / "home")
    params = InferenceLogParams(**{**KEPT.model_dump(), "keep_days": 30})
    metrics = tmp_path / "home" / "metrics"
    rollouts = tmp_path / "home" / "rollouts"
    for name, days in (("old", 31), ("young", 29)):
        write_notes(rollouts, name, "a", RolloutNotes())
        written = time.time() - days * 86_400
        os.utime(notes_file(rollouts, name, "a"), (written, written))
    upkeep = LogUpkeep(inference, labels, params, trail, metrics, rollouts, clock=lambda: now)
    upkeep.run()
    assert [path.name for path in rollouts.iterdir()] == ["young"]
    assert [path.name for path in tmp_path.iterdir()] == ["home"]

    write_row(tmp_path / "inference", datetime.now(UTC))
    write_row(tmp_path / "inference", datetime.now(UTC) - timedelta(days=40))
    given = pa.table([["a" * 32], [0], [1.0]], schema=GIVEN_SCHEMA)
    labels.append("plums", given, by="ann")
    labels.close()
    now += EVERY_S / 2
    upkeep.run()
    assert inference.window("plums").num_rows == 2
    now += EVERY_S / 2
    upkeep.run()
    assert inference.window("plums").num_rows == 1
    assert labels.labels("plums").num_rows == 1
    assert inference.window("plums")["at"].type == AT_TYPE
    for folder in (tmp_path / "inference" / "plums", tmp_path / "labels" / "plums"):
        assert segments_in(folder / "segments") == ()
        assert len(list(folder.glob("daily/*/*.parquet"))) == 1
