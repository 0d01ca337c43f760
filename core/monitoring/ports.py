"""What alerts, schedule and retraining need of the services beside them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from core.domain import Batch, Check
from core.monitoring.report import DriftReport


class Checks(Protocol):
    """Checks of every problem."""

    def start(self, problem: str, *, actor: str) -> Check:
        """Starts a check of the inference log's latest part and returns it at once."""

    def list(self, problem: str | None = None, limit: int = 100) -> Sequence[Check]:
        """Checks, newest first."""

    def report(self, check_id: str) -> DriftReport:
        """What a finished check has found."""


class CheckQueue(Protocol):
    """Which checks alerts have looked at."""

    def unconsidered(self) -> Sequence[Check]:
        """Finished checks that alerts have not looked at, oldest first."""

    def mark_considered(self, check_id: str) -> None:
        """Says that alerts have looked at a check."""


class Batches(Protocol):
    """Batches of every problem."""

    def list(self, problem: str | None = None) -> Sequence[Batch]:
        """Accepted batches, newest first."""
