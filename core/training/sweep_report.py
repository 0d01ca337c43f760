"""What a sweep over resource profiles measured, and what follows: values stored as JSON."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from core.frozen import Frozen
from core.params import Profile
from core.training.usage import Usage


class SweepMeasurement(Frozen):
    """One family searched once with one profile, on a session that was warm.

    ``seconds`` is wall time of preprocessing, search, final fit and export;
    ``start_seconds`` what it took to start Spark with the profile, once a profile and
    repeat, in none of the other figures.
    """

    profile: Profile
    family: str
    #: 1 is the first.
    repeat: int
    cv_auc: float
    cv_auc_standard_error: float | None
    candidates: int
    start_seconds: float
    seconds: float
    usage: Usage


class BoostingPoint(Frozen):
    """A boosted ensemble cut after so many iterations, cross-validated.

    ``seconds`` is its share, by iterations, of what the longest ensemble of its depth
    took to fit on all folds and to score at every cut.
    """

    max_depth: int
    iterations: int
    cv_auc: float
    seconds: float


class SweepReport(Frozen):
    """A whole sweep. A profile is oversubscribed with more cores than ``physical_cores``."""

    problem: str
    started_at: datetime
    physical_cores: int
    train_rows: int
    folds: int
    git_commit: str
    measurements: tuple[SweepMeasurement, ...]
    boosting: tuple[BoostingPoint, ...]


class Topic(StrEnum):
    """What a piece of advice is about."""

    PROFILE = "profile"
    FAMILY = "family"
    CORES = "cores"
    MEMORY = "memory"
    SKEW = "skew"
    BOOSTING = "boosting"


class Reason(Frozen):
    """One sentence of the advice, with the figure behind it in words."""

    topic: Topic
    text: str


class Advice(Frozen):
    """Which profile and family to use next, and why; ``reasons`` is never empty."""

    profile: str
    family: str
    reasons: tuple[Reason, ...]
