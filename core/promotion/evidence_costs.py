"""What two models cost: milliseconds to answer, and what their runs took."""

from __future__ import annotations

from core.frozen import Finite


class Latency(Finite):
    """Milliseconds one model takes in this process, without HTTP."""

    single_p50_ms: float
    single_p95_ms: float
    thousand_p50_ms: float
    thousand_p95_ms: float


class LatencyComparison(Finite):
    """Both models timed in turns, call by call, in one process."""

    candidate: Latency
    incumbent: Latency | None
    #: Calls of each model with one record, and with 1,000.
    single_repetitions: int
    thousand_repetitions: int


class TrainingCost(Finite):
    """What the run of a version has cost; see ``core.training.usage``."""

    core_seconds: float | None
    seconds: float | None
    peak_memory_mb: float | None
    profile: str


class Costs(Finite):
    """Training cost of both."""

    candidate: TrainingCost
    incumbent: TrainingCost | None
