"""Preprocessing and training of more and more rows, on warm RayDP and on bare Spark."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from math import log
from pathlib import Path
from statistics import linear_regression, median
from typing import Any

from benchmarks.machine import prepare_launch, run_module
from benchmarks.report import Section, Table, Target
from core.services.environment import Launch

SIZES = (100_000, 1_000_000, 10_000_000)
#: From so many rows on, what Ray adds should not show.
LARGE = 1_000_000
MOST_EXPONENT = 1.05
MOST_RATIO = 1.1
Found = Mapping[str, Any]
#: Rows -> what was found, by way.
ByRows = Mapping[int, Sequence[Found]]


def measure(repeat: int) -> Section:
    """Measures every size both ways, one after the other, each in a process of its own."""
    local: dict[int, list[Found]] = {}
    ray: dict[int, list[Found]] = {}
    with tempfile.TemporaryDirectory(prefix="pilothouse-") as folder:
        launch = prepare_launch(Path(folder))
        for rows in SIZES:
            _step(launch, "generate", rows)
            for _ in range(repeat):
                local.setdefault(rows, []).append(_step(launch, "local", rows))
                ray.setdefault(rows, []).append(_step(launch, "ray", rows))
            shutil.rmtree(launch.settings.home / f"rows-{rows}")
    return judge(local, ray)


def judge(local: ByRows, ray: ByRows) -> Section:
    """Holds times, their growth and what models are worth against the targets."""
    ours = {rows: _seconds(found) for rows, found in ray.items()}
    peer = {rows: _seconds(found) for rows, found in local.items()}
    ratios = {rows: ours[rows] / peer[rows] for rows in ours}
    differ = max(
        abs(ray[rows][0]["aucs"][family] - auc)
        for rows, found in local.items()
        for family, auc in found[0]["aucs"].items()
    )
    return Section(
        "Growth: 100 thousand to 10 million rows",
        Table(
            ("rows", "bare `local[2]`, s", "warm RayDP, s", "ratio", "of it preprocessing", "GB"),
            tuple(_row(rows, peer[rows], ray[rows]) for rows in sorted(ours)),
        ),
        (
            Target("exponent of time against rows", exponent(ours), MOST_EXPONENT),
            *(
                Target(f"ratio at {rows:,} rows", ratio, MOST_RATIO)
                for rows, ratio in sorted(ratios.items())
                if rows >= LARGE
            ),
            Target("AUC, largest difference between both", differ, 0.002),
        ),
    )


def exponent(seconds: Mapping[int, float]) -> float:
    """Slope of the logarithm of seconds over that of rows: 1 is linear."""
    sizes = sorted(seconds)
    slope, _ = linear_regression([log(n) for n in sizes], [log(seconds[n]) for n in sizes])
    return float(slope)


def _row(rows: int, peer_s: float, found: Sequence[Found]) -> tuple[str, ...]:
    ours_s = _seconds(found)
    before_s = median(one["preprocess_s"] for one in found)
    held_gb = max(one["spark_mb"] for one in found) / 1024
    figures = (f"{peer_s:.3g}", f"{ours_s:.3g}", f"{ours_s / peer_s:.2f}", f"{before_s:.3g}")
    return (f"{rows:,}", *figures, f"{held_gb:.1f}")


def _seconds(found: Sequence[Found]) -> float:
    return median(one["seconds"] for one in found)


def _step(launch: Launch, step: str, rows: int) -> Found:
    home = str(launch.settings.home)
    found: dict[str, Any] = json.loads(
        run_module(launch, "benchmarks.growth_process", [step, home, str(rows)])
    )
    return found
