"""Parameters of alerts, of scheduled checks and of retraining."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from core.frozen import Frozen
from core.monitoring.schedule import require_cron

Cron = Annotated[str, AfterValidator(require_cron)]


class AlertParams(Frozen):
    """When alerts are raised, and how they are sent."""

    cooldown_hours: float = Field(
        ge=0,
        description="Hours after an alert has closed in which only a worse one is raised.",
    )
    timeout_s: float = Field(gt=0, description="Seconds a receiver may take to answer.")
    retry_s: float = Field(gt=0, description="Seconds to the second attempt; doubled every time.")
    retry_most_s: float = Field(gt=0, description="Most seconds between two attempts.")


class ScheduleParams(Frozen):
    """When checks start by themselves."""

    checks: dict[str, Cron] = Field(
        description="Cron expression in UTC by problem; one that is not named has no schedule."
    )


class RetrainingParams(Frozen):
    """When a model is trained again without being asked: triggers, then conditions."""

    critical_drift: bool = Field(description="Retrain when the last check found critical drift.")
    estimated_loss: float | None = Field(
        gt=0, description="Retrain when the estimated performance is so far below the reference."
    )
    realized_loss: float | None = Field(
        gt=0, description="Retrain when the realized performance is so far below the reference."
    )
    new_labelled_rows: int | None = Field(
        ge=1, description="Retrain when so many labelled rows are new since the last retrain."
    )
    cron: Cron | None = Field(description="Retrain at these times, in UTC.")
    min_rows: int = Field(
        ge=1, description="Rows that a check must have seen for its findings to count."
    )
    min_labelled_rows: int = Field(
        ge=0, description="New labelled rows without which no retrain starts."
    )
    cooldown_hours: float = Field(
        ge=0, description="Hours between the start of a retrain and that of the next."
    )
