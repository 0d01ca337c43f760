"""What alerts, schedule and retraining need of the services beside them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from core.domain import Batch
from core.domain_watching import AlertKind, Check
from core.monitoring.report import DriftReport


class Checks(Protocol):
    """Checks of every problem."""

    def start(self, problem: str, *, batch_id: str | None = None, actor: str) -> Check:
        """Starts a check and returns it at once; without a batch, of the inference log."""

    def list(self, problem: str | None = None, limit: int = 100) -> Sequence[Check]:
        """Checks, newest first."""

    def report(self, check_id: str) -> DriftReport:
        """What a finished check has found."""


class CheckQueue(Protocol):
    """Which checks alerts have looked at."""

    def unconsidered(self) -> Sequence[Check]:
        """Finished checks that alerts have not looked at, oldest first."""

    def mark_considered(self, check_id: str, told: Iterable[AlertKind]) -> None:
        """Says that alerts have looked at a check, and on which kinds it had a say."""

    def list(self, problem: str, limit: int) -> Sequence[Check]:
        """Checks as they were recorded, newest first."""


class Batches(Protocol):
    """Batches of every problem."""

    def list(self, problem: str, limit: int) -> Sequence[Batch]:
        """Accepted batches, newest first."""


class NewBatches(Protocol):
    """Which batches no check has looked at."""

    def unchecked(self, problem: str) -> Sequence[Batch]:
        """Batches with news that no check has seen, oldest first."""
