"""What replicas have noted of a version, as the few numbers that people compare."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from core.deployment.load import LEAST_REQUESTS, quantile
from core.deployment.metrics import BOUNDS_S
from core.rollout.notes import PROBABILITY_BINS, RolloutNotes, VersionNotes

_MS = 1000.0


@dataclass(frozen=True)
class Figures:
    """One version in one step; ``None`` where there is too little to say it."""

    requests: int
    failed: int
    failed_share: float | None
    p50_ms: float | None
    p95_ms: float | None
    rows: int
    mean_probability: float | None


def figures(notes: VersionNotes) -> Figures:
    """Adds up what was noted of a version."""
    return Figures(
        requests=notes.requests,
        failed=notes.failed,
        failed_share=notes.failed / notes.requests if notes.requests else None,
        p50_ms=percentile_ms(notes.durations, 0.5),
        p95_ms=percentile_ms(notes.durations, 0.95),
        rows=notes.rows,
        mean_probability=_mean(notes.probabilities),
    )


def percentile_ms(durations: Sequence[int], share: float) -> float | None:
    """A percentile of durations noted by ``BOUNDS_S``, in milliseconds.

    ``None`` below as many durations as the *Load* part asks for, too.
    """
    if sum(durations) < LEAST_REQUESTS:
        return None
    bounds = (*BOUNDS_S, float("inf"))
    found = quantile(dict(zip(bounds, itertools.accumulate(durations), strict=False)), share)
    return None if found is None else found * _MS


def last_answered(notes: RolloutNotes, version: int, step: int) -> tuple[int, VersionNotes]:
    """The newest step up to ``step`` in which a version answered, and what; ``step`` if in none.

    In the last step of a canary the version before answers nothing any more.
    """
    answered = (at for at in range(step, -1, -1) if notes.of(at, version).requests)
    found = next(answered, step)
    return found, notes.of(found, version)


def percent(share: float) -> str:
    """A share of requests, such as ``10 %`` or ``9.87 %``."""
    return f"{100 * share:.3g} %"


def _mean(probabilities: Sequence[int]) -> float | None:
    rows = sum(probabilities)
    if not rows:
        return None
    middles = ((at + 0.5) / PROBABILITY_BINS for at in range(len(probabilities)))
    return sum(middle * count for middle, count in zip(middles, probabilities, strict=True)) / rows
