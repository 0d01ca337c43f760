"""A check of 10,000,000 rows, counted on Spark, beside one of 1,000,000 rows in memory."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.machine import prepare_launch, run_module
from benchmarks.report import Section, Target, Timing
from core.services.environment import Launch

FEW, MANY = 1_000_000, 10_000_000
LIMIT_GB = 4.0
Found = Mapping[str, Any]


def measure(repeat: int) -> Section:
    """Measures both ways, each in processes of its own."""
    with tempfile.TemporaryDirectory(prefix="pilothouse-") as folder:
        launch = prepare_launch(Path(folder))
        _step(launch, "train", 0)
        _step(launch, "take-in", FEW)
        taken = _step(launch, "take-in", MANY)
        few = [_step(launch, "in-memory", FEW) for _ in range(repeat)]
        few_on_spark = _step(launch, "on-spark", FEW)
        many = [_step(launch, "on-spark", MANY) for _ in range(repeat)]
    return judge(taken, few, few_on_spark, many)


def judge(
    taken: Found, few: Sequence[Found], few_on_spark: Found, many: Sequence[Found]
) -> Section:
    """Puts what was measured side by side."""
    same = (few[0]["found"], few[0]["labelled"])
    differs = same != (few_on_spark["found"], few_on_spark["labelled"])
    peak = max(many, key=lambda one: one["own_mb"] + one["spark_mb"])
    return Section(
        f"Check of {MANY:,} rows",
        (
            Timing(
                f"a check of {FEW:,} rows in memory",
                tuple(one["seconds"] for one in few),
                f"{_gb(few[0]['own_mb'])} GB",
            ),
            Timing(
                f"the same {FEW:,} rows, counted on Spark",
                (few_on_spark["seconds"],),
                _held(few_on_spark),
            ),
            Timing(
                f"a check of {MANY:,} rows, counted on Spark",
                tuple(one["seconds"] for one in many),
                _held(peak),
            ),
            Timing(
                f"the file of {MANY:,} rows taken in, before",
                (taken["seconds"],),
                f"{_gb(taken['own_mb'])} GB; contract, soft rules and Parquet",
            ),
        ),
        (
            Target(f"reports of the {FEW:,} rows that differ", float(differs), 0.0),
            Target(
                f"GB of memory of the check of {MANY:,} rows, Spark's included",
                (peak["own_mb"] + peak["spark_mb"]) / 1024,
                LIMIT_GB,
            ),
        ),
    )


def _held(found: Found) -> str:
    return (
        f"job {_gb(found['own_mb'])} GB, Spark's driver and executors {_gb(found['spark_mb'])} GB, "
        f"with Ray's own {_gb(found['all_mb'])} GB; Spark was ready after "
        f"{found['start_seconds']:.0f} s"
    )


def _gb(mb: float) -> str:
    return f"{mb / 1024:.1f}"


def _step(launch: Launch, step: str, rows: int) -> Found:
    home = launch.settings.home
    told = run_module(launch, "benchmarks.large_check_process", [step, str(home), str(rows)])
    found: dict[str, Any] = json.loads(told)
    return found
