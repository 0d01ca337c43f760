"""The words of watching a model as frozen values: checks and alerts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from core.domain import RunStatus


class Level(StrEnum):
    """What a check comes to, from best to worst; the last says that it cannot tell."""

    OK = "ok"
    WARNING = "warning"
    CRITICAL = "critical"
    NOT_ENOUGH_DATA = "not enough data"


class AlertKind(StrEnum):
    """What an alert is about; one of a kind is open for a problem at a time."""

    DRIFT = "drift"
    QUALITY = "data quality"
    ESTIMATED_LOSS = "estimated loss"
    REALIZED_LOSS = "realized loss"
    #: Somebody has moved an alias in the registry; no check tells of it.
    MOVED_ALIAS = "moved alias"
    #: A guard has taken a canary back; it closes when another rollout begins or a version is
    #: approved at once.
    ROLLOUT = "rollout"


@dataclass(frozen=True)
class Check:
    """One look at what arrived, against the reference of the version in production.

    ``id`` is also its MLflow run id. Either ``batch_id`` or ``window`` is set; a window is
    ``24h`` or ``5000 rows`` of the inference log.
    """

    id: str
    problem: str
    status: RunStatus
    version: int
    started_by: str
    started_at: datetime
    batch_id: str | None = None
    window: str | None = None
    ended_at: datetime | None = None
    #: One sentence for the operator when the check failed.
    error: str | None = None
    #: What it came to, once it has finished.
    level: Level | None = None
    #: The verdict in one sentence.
    summary: str = ""
    rows: int | None = None
    #: When what it looks at arrived: its batch, or the end of its window.
    data_at: datetime | None = None
    #: Kinds of alerts that it had something to say on, once alerts have looked at it.
    told: tuple[AlertKind, ...] = ()

    @property
    def arrived_at(self) -> datetime:
        """When what it looks at arrived; when it was started where that is not known."""
        return self.data_at or self.started_at


class AlertStatus(StrEnum):
    """Where an alert stands."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    CLOSED = "closed"

    @property
    def is_open(self) -> bool:
        """Whether its condition still holds."""
        return self is not AlertStatus.CLOSED


@dataclass(frozen=True)
class Alert:
    """Something an operator should know. ``id`` is the key by which receivers drop repeats."""

    id: str
    problem: str
    kind: AlertKind
    severity: Level
    summary: str
    #: The check that has raised it; empty where none did.
    check_id: str
    status: AlertStatus
    raised_at: datetime
    #: What stands out, such as the features that drift most; worst first.
    details: tuple[str, ...] = ()
    acknowledged_by: str | None = None
    acknowledged_at: datetime | None = None
    note: str | None = None
    closed_at: datetime | None = None
    #: The run that the alert has started, and what became of it.
    run_id: str | None = None
    outcome: str = ""
