"""Canaries and what was measured of them, for tests."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from core.deployment.metrics import BOUNDS_S
from core.params import load_params
from core.rollout.notes import PROBABILITY_BINS, VersionNotes
from core.rollout.steps import Estimates, StepMeasures
from core.rollout.values import Rollout, RolloutKind, RolloutStatus
from core.settings import CODE_ROOT

AT = datetime(2026, 1, 31, 8, 15, tzinfo=UTC)
#: Steps of 10, 50 and 100 %, 300 s and 100 requests each.
CANARY = load_params(CODE_ROOT / "params.yaml").rollout.canary
HELD = RolloutStatus.HELD


def later(seconds: float) -> datetime:
    return AT + timedelta(seconds=seconds)


def rollout_of(**changed: object) -> Rollout:
    """v5 beside v4, in its first step since ``AT``."""
    first = Rollout(
        id="c" * 32,
        problem="plums",
        kind=RolloutKind.CANARY,
        version=5,
        run_id="5" * 32,
        incumbent_version=4,
        status=RolloutStatus.RUNNING,
        shares=CANARY.steps,
        step=0,
        step_since=AT,
        started_by="ann",
        started_at=AT,
        reason="It is better.",
        source="plums/5",
        bundle_sha256="",
    )
    return replace(first, **changed)  # type: ignore[arg-type]


def notes_of(
    answered: int = 1000, failed: int = 0, each_s: float = 0.004, probability: float = 0.3
) -> VersionNotes:
    """Answers of one row each, all as fast; half of the rows a tenth above ``probability``."""
    durations = [0] * (len(BOUNDS_S) + 1)
    durations[bisect_left(BOUNDS_S, each_s)] = answered
    probabilities = [0] * PROBABILITY_BINS
    low = int(probability * PROBABILITY_BINS)
    probabilities[low] += answered // 2
    probabilities[low + 10] += answered - answered // 2
    return VersionNotes(
        requests=answered + failed,
        failed=failed,
        rows=answered,
        seconds=answered * each_s,
        durations=tuple(durations),
        probabilities=tuple(probabilities),
    )


NOTHING = VersionNotes()


def measures_of(
    new: VersionNotes | None = None,
    old: VersionNotes | None = None,
    old_before: VersionNotes = NOTHING,
    estimates: Estimates | None = None,
    failure: str = "",
) -> StepMeasures:
    """Both versions alike, unless told otherwise."""
    return StepMeasures(
        new=notes_of() if new is None else new,
        old=notes_of(9000) if old is None else old,
        old_before=old_before,
        estimates=estimates,
        failure=failure,
    )


def estimates_of(new: float | None = 0.84, old: float | None = 0.85, step: int = 0) -> Estimates:
    return Estimates(step, "roc_auc", new, old, 1000, 9000, "" if new and old else "Too few rows.")
