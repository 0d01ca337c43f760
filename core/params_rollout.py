"""The section ``rollout`` of params.yaml: how a version earns its traffic, and what it may cost."""

from __future__ import annotations

import itertools

from pydantic import Field, model_validator

from core.frozen import Frozen


class CanaryParams(Frozen):
    """How an approved version takes over in steps, and when it is taken back."""

    steps: tuple[float, ...] = Field(
        min_length=1, description="Shares of requests that it answers, one step each; ends with 1."
    )
    bake_s: float = Field(ge=0, description="Seconds that each step takes at least.")
    minimum_requests: int = Field(
        ge=1, description="Requests that it has to answer in each step before the next one."
    )
    error_rate: float = Field(
        ge=0, le=1, description="Share of its requests that may fail above Production's share."
    )
    p95_factor: float = Field(
        ge=1, description="Times Production's 95th percentile that its own may take."
    )
    p95_slack_ms: float = Field(
        ge=0, description="Milliseconds above Production's 95th percentile that are always allowed."
    )
    minimum_rows: int = Field(
        ge=1, description="Rows of each version below which predictions are not compared."
    )
    prediction_psi: float = Field(
        gt=0, description="PSI between the predictions of both versions that is too much."
    )
    estimated_loss: float = Field(
        ge=0, le=1, description="Estimated performance that it may lose against Production."
    )

    @model_validator(mode="after")
    def _climbs(self) -> CanaryParams:
        if any(before >= after for before, after in itertools.pairwise((0.0, *self.steps))):
            raise ValueError("steps must be above 0 and each above the one before")
        if self.steps[-1] != 1.0:
            raise ValueError("steps must end with 1")
        return self


class ShadowParams(Frozen):
    """How live requests are scored by a second version whose answers nobody gets."""

    share: float = Field(gt=0, le=1, description="Share of requests, unless told otherwise.")
    queue_requests: int = Field(
        ge=1, description="Requests that may wait in a replica; more are not compared."
    )
    examples: int = Field(ge=0, description="Records that disagree most which are kept.")


class SloParams(Frozen):
    """What the served model of a problem promises."""

    availability: float = Field(
        gt=0, lt=1, description="Share of requests for predictions that are answered (no 5xx)."
    )
    p95_ms: float = Field(
        gt=0, description="Milliseconds within which 95 % of the answers are ready."
    )
    window_days: int = Field(ge=1, le=90, description="Days that count, up to now.")


class RolloutParams(Frozen):
    """Shadow, canary and service level objectives."""

    canary: CanaryParams
    shadow: ShadowParams
    #: Problem -> its service level objective; one that is not named has none.
    slo: dict[str, SloParams]
