"""What a measured process hands to the runner: JSON between processes."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FamilyOutcome(_Frozen):
    """The best candidate of a family: on the one validation part, and on the holdout."""

    family: str
    validation_auc: float
    holdout_auc: float


class SearchOutcome(_Frozen):
    """One search: how long it took in a session that stands, and what it found."""

    seconds: float
    #: Of a search over the single split.
    families: tuple[FamilyOutcome, ...] = ()
    #: Best mean over the folds of the product, of a search over these.
    cross_validated_auc: float | None = None


class CandidateOutcome(_Frozen):
    """One run, from the click to its registered version."""

    seconds: float
    #: Stage of the run -> its wall seconds.
    stages: Mapping[str, float]
    spark_was_warm: bool
    #: How many the search tried.
    candidates: int
