"""The section ``promotion`` of params.yaml: what a candidate is held to, and a decision too."""

from __future__ import annotations

from pydantic import Field

from core.frozen import Frozen


class PromotionParams(Frozen):
    """Limits of the gates and of the evidence; rates, losses and errors are 0 to 1."""

    auc_margin: float = Field(
        description="AUC a candidate must have above the incumbent's on the same rows."
    )
    minimum_class_rows: int = Field(
        ge=1,
        description="Rows of a class below which AUC and the class's rates cannot be told apart.",
    )
    class_loss: float = Field(
        ge=0, le=1, description="Precision or recall that a class may lose against the incumbent."
    )
    slice_loss: float = Field(
        ge=0, le=1, description="Precision or recall that a slice may lose against the incumbent."
    )
    minimum_slice_rows: int = Field(
        ge=1, description="Rows below which a slice is too small to tell."
    )
    calibration_loss: float = Field(
        ge=0, le=1, description="Calibration error that a candidate may have above the incumbent's."
    )
    latency_ms: float = Field(
        gt=0, description="Milliseconds for one record that are fast enough in any case."
    )
    latency_thousand_ms: float = Field(
        gt=0, description="Milliseconds for 1,000 records that are fast enough in any case."
    )
    latency_factor: float = Field(
        ge=1, description="Times the incumbent's latency that a slower candidate may take."
    )
    core_seconds: float | None = Field(
        gt=0, description="Core-seconds a training run may cost; `null` sets no budget."
    )
    evidence_rows: int = Field(
        ge=100,
        description="Rows of the holdout, and of held-back rows, that the evidence looks at; more "
        "are sampled.",
    )
    reason_min_length: int = Field(ge=1, description="Characters a written reason needs.")
    approvals_required: int = Field(
        ge=1, description="People who have to approve, where people can be told apart."
    )
    undo_after_s: float = Field(
        gt=0, description="Seconds for which a promoted version may be unable to serve."
    )
