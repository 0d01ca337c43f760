"""A check of 1,000,000 rows beside NannyML's own calculators on the same rows."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from benchmarks.report import Section, Target, Timing
from core.settings import CODE_ROOT, silence_vendors

ROWS = 1_000_000
LIMIT_S, LIMIT_GB = 60.0, 4.0
_WAYS = {
    "nannyml": "NannyML's calculators on every row",
    "ours": "a check: PSI of every row, quality, NannyML on a sample, verdict",
}


def measure(repeat: int) -> Section:
    """Measures both ways, each in processes of its own."""
    silence_vendors()
    found = {way: [_one(way) for _ in range(repeat)] for way in _WAYS}
    peer, ours = (
        Timing(
            text,
            tuple(one["seconds"] for one in found[way]),
            f"at most {_peak_gb(found[way]):.1f} GB of memory",
        )
        for way, text in _WAYS.items()
    )
    return Section(
        f"Check of {ROWS:,} rows",
        (peer, ours),
        (
            Target("seconds of a check", ours.median_s, LIMIT_S),
            Target("GB of memory of a check", _peak_gb(found["ours"]), LIMIT_GB),
        ),
    )


def _one(way: str) -> Mapping[str, Any]:
    command = [sys.executable, "-m", "benchmarks.check_process", way, str(ROWS)]
    done = subprocess.run(command, cwd=CODE_ROOT, capture_output=True, text=True, check=True)
    measured: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return measured


def _peak_gb(found: list[Mapping[str, Any]]) -> float:
    return float(max(one["peak_mb"] for one in found)) / 1024
