"""From the click to a registered Titanic candidate, with Spark to be started and with it warm."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.installation import prepare
from benchmarks.outcome import CandidateOutcome
from benchmarks.report import Section, Target, Timing
from core.settings import CODE_ROOT
from tests.installation import running

TRIALS, FOLDS = 12, 3
FAMILIES = ("lr", "rf", "gbt")
MOST_COLD_S, MOST_WARM_S = 110.0, 60.0
_TIMEOUT_S = 900


def measure(repeat: int) -> Section:
    """Brings up an installation of its own, ``repeat`` times; each trains cold, then warm."""
    found = [_both() for _ in range(repeat)]
    return judge([cold for cold, _ in found], [warm for _, warm in found])


def judge(cold: Sequence[CandidateOutcome], warm: Sequence[CandidateOutcome]) -> Section:
    """Holds the times against the targets.

    A run that was taken for warm and was not, or the other way round, misses a target of
    its own, as does a search that tried fewer candidates than it should.
    """
    mistaken = sum(one.spark_was_warm for one in cold)
    mistaken += sum(not one.spark_was_warm for one in warm)
    cold_timing, warm_timing = (
        Timing(name, tuple(one.seconds for one in found), _stages(found))
        for name, found in (("Spark has to start", cold), ("Spark is warm", warm))
    )
    fewest = min(one.candidates for one in (*cold, *warm))
    return Section(
        "From the click to a registered Titanic candidate",
        (cold_timing, warm_timing),
        (
            Target("seconds, cold", cold_timing.median_s, MOST_COLD_S),
            Target("seconds, warm", warm_timing.median_s, MOST_WARM_S),
            Target("runs that found Spark otherwise", float(mistaken), 0.0),
            Target("candidates of a search", float(fewest), float(TRIALS), at_least=True),
        ),
    )


def _stages(found: Sequence[CandidateOutcome]) -> str:
    """Seconds of each stage, of the run in the middle; the rest is submitting and starting."""
    one = sorted(found, key=lambda outcome: outcome.seconds)[(len(found) - 1) // 2]
    told = [f"{stage} {seconds:.1f}" for stage, seconds in one.stages.items()]
    rest = one.seconds - sum(one.stages.values())
    return ", ".join([f"until the job runs, and after it {rest:.1f}", *told])


def _both() -> tuple[CandidateOutcome, CandidateOutcome]:
    with tempfile.TemporaryDirectory(prefix="ph-bench-") as name:
        with running(prepare(Path(name), _as_the_targets_say)) as made:
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.candidate_process", "titanic", "2"],
                env=dict(made.environment),
                cwd=CODE_ROOT,
                capture_output=True,
                text=True,
                timeout=_TIMEOUT_S,
                check=False,
            )
    if done.returncode:
        raise RuntimeError(f"the runs failed:\n{done.stderr[-4000:]}")
    cold, warm = done.stdout.strip().splitlines()[-2:]
    return (
        CandidateOutcome.model_validate_json(cold),
        CandidateOutcome.model_validate_json(warm),
    )


def _as_the_targets_say(params: dict[str, Any]) -> None:
    """Nothing is trained before, and the search is the one that the targets speak of."""
    params["bootstrap"] = []
    search = {"families": list(FAMILIES), "strategy": "grid", "trials": TRIALS, "seconds": None}
    params["training"]["search"] |= search
    params["training"]["split"]["folds"] = FOLDS
