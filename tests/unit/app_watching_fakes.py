"""Checks and alerts without services, for the panel's tests."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from core.domain import Progress, RunStatus, Stage
from core.domain_watching import Alert, AlertStatus, Check, Level
from core.errors import NotFoundError, PilothouseError
from core.monitoring.report import DriftReport
from tests.unit import app_watching_values as watching_values


@dataclass
class FakeChecks:
    checks: list[Check] = field(default_factory=list)
    levels: dict[str, Level] = field(default_factory=dict)
    started: list[tuple[str | None, str | None]] = field(default_factory=list)
    #: Of each check that was started: whether a domain classifier was asked for.
    classifiers: list[bool] = field(default_factory=list)
    failure: PilothouseError | None = None
    refusal: PilothouseError | None = None

    def list(self, problem: str, limit: int = 100) -> tuple[Check, ...]:
        if self.failure:
            raise self.failure
        return tuple(self.checks[:limit])

    def get(self, check_id: str) -> Check:
        for check in self.checks:
            if check.id == check_id:
                return check
        raise NotFoundError("There is no such check.")

    def progress(self, check_id: str) -> Progress | None:
        return Progress(Stage.EVALUATE, 42, "drift of each column")

    def report(self, check_id: str) -> DriftReport:
        number = self.get(check_id).started_at.hour - watching_values.START.hour
        return watching_values.make_drift_report(number, self.levels.get(check_id, Level.CRITICAL))

    def start(
        self,
        problem: str,
        *,
        batch_id: str | None,
        window: str | None,
        domain_classifier: bool,
        actor: str,
    ) -> Check:
        if self.refusal:
            raise self.refusal
        self.started.append((batch_id, window))
        self.classifiers.append(domain_classifier)
        check = watching_values.make_check(9, RunStatus.RUNNING)
        self.checks.insert(0, check)
        return check

    def cancel(self, check_id: str, *, actor: str) -> Check:
        ended = replace(self.get(check_id), status=RunStatus.CANCELLED)
        self.checks = [ended if one.id == check_id else one for one in self.checks]
        return ended


@dataclass
class FakeAlerts:
    alerts: list[Alert] = field(default_factory=list)

    def list(self, problem: str | None = None, *, open_only: bool = False) -> tuple[Alert, ...]:
        return tuple(one for one in self.alerts if one.status.is_open or not open_only)

    def acknowledge(self, alert_id: str, *, note: str, actor: str) -> Alert:
        seen = next(one for one in self.alerts if one.id == alert_id)
        seen = replace(
            seen,
            status=AlertStatus.ACKNOWLEDGED,
            note=note,
            acknowledged_by=actor,
            acknowledged_at=watching_values.START,
        )
        self.alerts = [seen if one.id == alert_id else one for one in self.alerts]
        return seen
