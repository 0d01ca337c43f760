"""A process that does what an installation does all day: runs, batches, answers, compaction.

It writes in the order in which the product writes: the file, then MLflow's row, then ours.
"""

from __future__ import annotations

import io
import sys
import threading
import time
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import pyarrow as pa

from core.adapters.database import Database
from core.adapters.database_batches import BatchRecords
from core.adapters.dvc import DataVersions
from core.adapters.mlflow import RunTracker, connected_client
from core.data.batch_files import batches_folder
from core.data.batches import BatchService
from core.data.segments import SegmentLimits, SegmentWriter
from core.deployment.inference_log import (
    InferenceLog,
    inference_folder,
    schema_of,
    segments_folder,
)
from core.domain import RunStatus
from core.promotion.audit import Action
from tests.unit.core_fakes import INTAKE, PROBLEM, make_trail

STOP, ROWS = "stop", 50


def artifact_of(run_id: str) -> str:
    """What the writer keeps of a run."""
    return f"report of {run_id} " * 1000


def track(home: Path, url: str, stop: Path) -> None:
    """Runs: MLflow's first, with a file, then a row that names it."""
    database = Database(f"sqlite:///{home / 'pilothouse.db'}")
    trail, tracker = make_trail(database, home), RunTracker(connected_client(url))
    scratch = stop.parent / "report.txt"
    while not stop.exists():
        run_id = tracker.create(PROBLEM.name, "a run", {})
        scratch.write_text(artifact_of(run_id))
        tracker.log_files(run_id, scratch, "report")
        tracker.finish(run_id, RunStatus.FINISHED)
        trail.record(Action.RUN_STARTED, actor="ann", object=f"run {run_id}")
    database.close()


def take_in(home: Path, stop: Path) -> None:
    """Batches, each with bytes of its own."""
    database = Database(f"sqlite:///{home / 'pilothouse.db'}")
    service = batch_service(home, database)
    for number in count():
        if stop.exists():
            break
        lines = [
            "weight,stones,colour",
            *(f"{20 + number % 60},{row % 4},blue" for row in range(9)),
        ]
        lines.append(f"{1 + number / 1000},1,yellow")
        given = io.BytesIO("\n".join(lines).encode())
        service.add(PROBLEM.name, given, name=f"{number}.csv", actor="ann")
    database.close()


def batch_service(home: Path, database: Database) -> BatchService:
    """Takes batches into a home."""
    versions = DataVersions(batches_folder(home))
    problems = {PROBLEM.name: PROBLEM}
    trail = make_trail(database, home)
    return BatchService(problems, BatchRecords(database), versions, home, trail, INTAKE)


def answer(home: Path, stop: Path) -> None:
    """Answers, numbered without a gap; segments are short, so that there are many."""
    folder, schema = inference_folder(home), schema_of(PROBLEM.contract)
    writer = SegmentWriter(segments_folder(folder, PROBLEM.name), "r", SegmentLimits(8192, 0.3))
    for first in count(0, ROWS):
        if stop.exists():
            break
        numbers = list(range(first, first + ROWS))
        columns = {
            "request_id": ["a"] * ROWS,
            "row_id": numbers,
            "at": [datetime.now(UTC)] * ROWS,
            "version": [1] * ROWS,
            "weight": [50.0] * ROWS,
            "stones": [1.0] * ROWS,
            "colour": ["blue"] * ROWS,
            "probability": [0.5] * ROWS,
        }
        writer.append(pa.RecordBatch.from_pydict(columns, schema=schema))
        time.sleep(0.01)
    writer.close()


def compact(home: Path, stop: Path) -> None:
    """What the worker does once a minute, all the time."""
    log = InferenceLog(inference_folder(home), {PROBLEM.name: PROBLEM.contract})
    while not stop.exists():
        log.compact()
        time.sleep(0.05)


def main(home: Path, url: str, stop: Path) -> None:
    """Goes on until there is a file of that name."""
    work = ((track, home, url, stop), (take_in, home, stop), (answer, home, stop))
    threads = [
        threading.Thread(target=act, args=given) for act, *given in (*work, (compact, home, stop))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
