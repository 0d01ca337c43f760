"""The section ``monitoring`` of params.yaml: what a check looks at and what it minds."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Literal

from pydantic import Field, field_validator, model_validator

from core.frozen import Frozen

ContinuousMethod = Literal["jensen_shannon", "kolmogorov_smirnov", "wasserstein", "hellinger"]
CategoricalMethod = Literal["jensen_shannon", "chi2", "l_infinity", "hellinger"]
Metric = Literal["roc_auc", "accuracy", "f1", "precision", "recall"]
WINDOW = re.compile(r"(?P<hours>[1-9]\d*)h|(?P<rows>[1-9]\d*) rows")
#: Ten years: a moment much earlier cannot be written, and no log is as old.
MOST_WINDOW_HOURS = 87_600
MOST_WINDOW_ROWS = 1_000_000_000
_PERIOD = re.compile(r"(?P<count>[1-9]\d*)(?P<unit>min|h|d)")
_UNITS = {"min": "minutes", "h": "hours", "d": "days"}


def period_of(text: str) -> timedelta:
    """Reads a length of time such as ``30min``, ``6h`` or ``1d``.

    Raises:
        ValueError: it is written otherwise.
    """
    match = _PERIOD.fullmatch(text)
    if match is None:
        raise ValueError("a period is written like 30min, 6h or 1d")
    return timedelta(**{_UNITS[match["unit"]]: int(match["count"])})


class ChunkParams(Frozen):
    """How rows are cut along time."""

    number: int = Field(ge=1, description="Chunks that the rows of a check are cut into.")
    period: str | None = Field(
        description="Length of a chunk, such as `6h` or `1d`, where the contract has a "
        "timestamp; `null` cuts by number."
    )
    minimum_rows: int = Field(ge=2, description="Rows that a chunk has at least.")

    @field_validator("period")
    @classmethod
    def _readable(cls, period: str | None) -> str | None:
        if period is not None:
            period_of(period)
        return period


class DriftParams(Frozen):
    """When the world counts as changed."""

    bins: int = Field(ge=2, le=100, description="Most bins of a number.")
    categories: int = Field(ge=2, description="Most categories with a bin of their own.")
    psi_warning: float = Field(gt=0, description="PSI above which a column is a warning.")
    psi_critical: float = Field(gt=0, description="PSI above which a column is critical.")
    psi_checks: int = Field(
        ge=2, description="Checks running above `psi_warning` that are critical too."
    )
    continuous_methods: tuple[ContinuousMethod, ...] = Field(
        description="NannyML's methods for numbers."
    )
    categorical_methods: tuple[CategoricalMethod, ...] = Field(
        description="NannyML's methods for categories."
    )
    least_distance: float = Field(
        ge=0,
        lt=1,
        description="Value below which a bounded distance raises no alert, however small the "
        "reference's own scatter is.",
    )
    multivariate: bool = Field(description="Whether the reconstruction error is computed.")
    domain_classifier: bool = Field(
        description="Whether a domain classifier is trained, which takes many times as long."
    )

    @model_validator(mode="after")
    def _ordered(self) -> DriftParams:
        if self.psi_warning > self.psi_critical:
            raise ValueError("psi_warning must not be above psi_critical")
        return self


class QualityParams(Frozen):
    """When data counts as damaged. Shares of rows, 0 to 1."""

    missing_warning: float = Field(
        gt=0, le=1, description="Rise of a column's missing share that is a warning."
    )
    missing_critical: float = Field(
        gt=0, le=1, description="Rise of a column's missing share that is critical."
    )
    unseen_warning: float = Field(
        gt=0, le=1, description="Share of unseen categories that is a warning."
    )
    unseen_critical: float = Field(
        gt=0, le=1, description="Share of unseen categories that is critical."
    )
    range_warning: float = Field(
        gt=0, le=1, description="Rise of the share outside the usual range that is a warning."
    )
    range_critical: float = Field(
        gt=0, le=1, description="Rise of the share outside the usual range that is critical."
    )

    @model_validator(mode="after")
    def _ordered(self) -> QualityParams:
        for what in ("missing", "unseen", "range"):
            if getattr(self, f"{what}_warning") > getattr(self, f"{what}_critical"):
                raise ValueError(f"{what}_warning must not be above {what}_critical")
        return self


class PerformanceParams(Frozen):
    """When the model counts as worse, and when its estimate is believed."""

    metrics: tuple[Metric, ...] = Field(
        min_length=1, description="Metrics that are estimated; the first one judges."
    )
    loss_warning: float = Field(
        gt=0, description="Loss of the first metric against the reference that is a warning."
    )
    loss_critical: float = Field(
        gt=0, description="Loss of the first metric against the reference that is critical."
    )
    minimum_labels: int = Field(ge=2, description="Labels that a realized metric needs.")
    calibration_error: float = Field(
        gt=0,
        lt=1,
        description="Calibration error, beyond chance, above which estimates are not trusted.",
    )
    past_error: float = Field(
        gt=0, description="Mean past error of the estimate above which it is not trusted."
    )
    past_checks: int = Field(ge=0, description="Earlier checks whose estimate is looked at.")

    @model_validator(mode="after")
    def _ordered(self) -> PerformanceParams:
        if self.loss_warning > self.loss_critical:
            raise ValueError("loss_warning must not be above loss_critical")
        return self


class MonitoringParams(Frozen):
    """What a check looks at and what it minds."""

    window: str = Field(
        description="Window of the inference log that a check takes unless told otherwise: "
        "`24h` or `5000 rows`."
    )
    minimum_rows: int = Field(ge=2, description="Rows below which there is no verdict.")
    sample_rows: int = Field(
        ge=1000, description="Rows of each side that NannyML looks at; more are sampled."
    )
    seed: int = Field(ge=0, description="Seed of the sample.")
    in_memory_rows: int = Field(
        ge=1, description="Rows of a batch that a check holds in memory; more are counted by Spark."
    )
    chunks: ChunkParams
    drift: DriftParams
    quality: QualityParams
    performance: PerformanceParams

    @field_validator("window")
    @classmethod
    def _readable(cls, window: str) -> str:
        if not WINDOW.fullmatch(window):
            raise ValueError("a window is written like 24h or 5000 rows")
        return window
