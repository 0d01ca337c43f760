"""Parameters of the inference log."""

from __future__ import annotations

from pydantic import Field

from core.frozen import Frozen


class InferenceLogParams(Frozen):
    """How answered predictions are kept."""

    enabled: bool = Field(description="Whether answered predictions are kept.")
    flush_s: float = Field(
        gt=0, le=60, description="Seconds after which an answered prediction is in the log."
    )
    keep_days: int = Field(ge=1, description="Days after which the log is pruned.")
    segment_mb: int = Field(ge=1, description="Size in MiB at which a replica begins a segment.")
    segment_minutes: float = Field(
        gt=0, description="Minutes after which a replica begins a segment."
    )
    queue_rows: int = Field(
        ge=1, description="Rows that may wait to be written; what comes on top is lost."
    )
