"""Fills an installation's stores with many runs, each like one that the product logs."""

from __future__ import annotations

import random
import sqlite3
import uuid
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from core.adapters.database import Database
from core.adapters.mlflow import RunTracker, connected_client
from core.domain import Run, RunStatus
from core.settings import Settings
from core.training.provenance import environment_snapshot

PROBLEM = "titanic"
CANDIDATES = 12
FOLDS = 3
METRICS = ("auc", "accuracy", "precision", "recall", "f1", "log_loss", "brier")
COSTS = ("spark_wall_seconds", "core_seconds", "peak_rss_mb", "mean_utilization")
#: Tables in which a run has rows of its own.
_TABLES = ("runs", "tags", "params", "metrics", "latest_metrics")
_SEED = 7
_BETWEEN = timedelta(minutes=7)


@dataclass(frozen=True)
class _Copy:
    """Where the rows of a run go: its new id and how far its metrics are moved."""

    old: str
    new: str
    started_at: datetime
    shift: float


def fill(settings: Settings, runs: int) -> None:
    """Logs one run with its candidates as a training does, and multiplies its rows.

    The server must be up. Copies differ in id, time, and metrics.
    """
    tracker = RunTracker(connected_client(settings.mlflow_url))
    first = _log_run(tracker)
    times = [datetime.now(UTC) - _BETWEEN * number for number in range(1, runs)]
    with closing(sqlite3.connect(settings.home / "mlflow" / "mlflow.db")) as connection:
        connection.execute("PRAGMA busy_timeout = 15000")
        copies = _copy_all(connection, first, times)
        connection.commit()
    database = Database(settings.database_address)
    database.migrate()
    for run_id, started_at in [(first, datetime.now(UTC)), *copies]:
        database.add_run(_run(run_id, started_at))
    database.close()


def _log_run(tracker: RunTracker) -> str:
    tags = {"problem": PROBLEM, "profile": "2c-2g", "started_by": "operator"}
    run_id = tracker.create(PROBLEM, f"{PROBLEM}-first", tags)
    chosen = {"model.maxDepth": 8, "model.numTrees": 100, "model.minInstancesPerNode": 3}
    ends = ("", "_low", "_high")
    metrics = {f"{name}{end}": 0.85 for name in METRICS for end in ends}
    metrics |= {"cv_auc": 0.86, "parity_max_difference": 5e-7}
    metrics |= dict.fromkeys(COSTS, 40.0)
    tracker.log(run_id, {"family": "rf", **chosen}, metrics)
    for index in range(CANDIDATES):
        tracker.log_candidate(
            PROBLEM,
            run_id,
            f"{index:03d}-rf",
            {"family": "rf", **chosen},
            {"cv_auc": 0.86, "seconds": 4.0, "cv_auc_standard_error": 0.01, "pruned": 0.0},
            [0.86] * FOLDS,
        )
    snapshot = environment_snapshot('openjdk version "17"')
    tracker.tag(
        run_id,
        {
            **{"stage": "register", "percent": "94", "message": "", "family": "rf"},
            **{"data_version": f"md5:{uuid.uuid4().hex}", "git_commit": uuid.uuid4().hex},
            **{"environment": str(snapshot), "model_version": "1"},
        },
    )
    tracker.finish(run_id, RunStatus.FINISHED)
    return run_id


def _run(run_id: str, started_at: datetime) -> Run:
    return Run(
        id=run_id,
        problem=PROBLEM,
        status=RunStatus.FINISHED,
        profile="2c-2g",
        started_by="operator",
        started_at=started_at,
        ended_at=started_at + timedelta(seconds=70),
        model_version=1,
    )


def _copy_all(
    connection: sqlite3.Connection, first: str, times: list[datetime]
) -> list[tuple[str, datetime]]:
    draw = random.Random(_SEED)
    children = [
        row[0]
        for row in connection.execute(
            "SELECT run_uuid FROM tags WHERE key = 'mlflow.parentRunId' AND value = ?", [first]
        )
    ]
    made = []
    for started_at in times:
        parent = uuid.uuid4().hex
        shift = draw.uniform(-0.03, 0.03)
        _copy(connection, _Copy(first, parent, started_at, shift))
        for child in children:
            copy = _Copy(child, uuid.uuid4().hex, started_at, shift)
            _copy(connection, copy)
            connection.execute(
                "UPDATE tags SET value = ? WHERE key = 'mlflow.parentRunId' AND run_uuid = ?",
                [parent, copy.new],
            )
        made.append((parent, started_at))
    return made


def _copy(connection: sqlite3.Connection, copy: _Copy) -> None:
    moment = int(copy.started_at.timestamp() * 1000)
    changed = {"run_uuid": copy.new, "start_time": moment, "end_time": moment + 70_000}
    for table in _TABLES:
        names = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        values = [
            "value + :shift"
            if table.endswith("metrics") and name == "value"
            else f":{name}"
            if name in changed
            else f'"{name}"'
            for name in names
        ]
        columns = ", ".join(f'"{name}"' for name in names)
        connection.execute(
            f"INSERT INTO {table} ({columns}) "
            f"SELECT {', '.join(values)} FROM {table} WHERE run_uuid = :old",
            {**changed, "old": copy.old, "shift": copy.shift},
        )
