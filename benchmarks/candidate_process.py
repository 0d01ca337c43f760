"""Starts a run of a problem as the panel's button does and waits for its version.

A process of its own that has connected before the clock starts, as a panel has.
"""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime

from benchmarks.outcome import CandidateOutcome
from core.bootstrap import Pilothouse, connect
from core.domain import Run
from core.settings import silence_vendors

#: As often as the panel looks at a run; the time is taken from MLflow, not from the looks.
POLL_S = 1.0


def main() -> int:
    """Trains the problem named first as often as said second; prints a line of JSON each."""
    problem, times = sys.argv[1], int(sys.argv[2])
    silence_vendors()
    core = connect()
    # The first question pays for imports and connections, which a panel has behind it.
    core.runs.list(problem)
    for _ in range(times):
        sys.stdout.write(_train(core, problem).model_dump_json() + "\n")
        _wait_for_worker(core)
    return 0


def _train(core: Pilothouse, problem: str) -> CandidateOutcome:
    clicked_at = datetime.now(UTC)
    actor = core.settings.operator
    run = core.runs.start(problem, profile=None, overrides={}, actor=actor)
    while run.status.is_active:
        time.sleep(POLL_S)
        run = core.runs.get(run.id)
    times = core.experiments.stage_times(run.id)
    if run.ended_at is None or run.model_version is None or times is None:
        raise RuntimeError(f"run {run.id} {run.status.value} without a version: {run.error}")
    return CandidateOutcome(
        seconds=(run.ended_at - clicked_at).total_seconds(),
        stages={one.stage.value: one.seconds for one in times.stages},
        spark_was_warm=times.spark_was_warm,
        candidates=_candidates(core, run),
    )


def _candidates(core: Pilothouse, run: Run) -> int:
    return len(core.experiments.report(run.id).candidates)


def _wait_for_worker(core: Pilothouse) -> None:
    """Until the worker has judged the version, so that the next run has the machine alone."""
    while core.database.unconsidered_runs():
        time.sleep(POLL_S)


if __name__ == "__main__":
    sys.exit(main())
