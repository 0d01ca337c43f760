"""Small reports and checks for tests of alerts and of retraining."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from core.domain import RunStatus
from core.domain_watching import AlertKind, Check, Level
from core.monitoring.alerting import Condition
from core.monitoring.report import CheckVerdict, Compared, DriftReport, Reason, Side, Topic
from core.monitoring.report_performance import MetricCourse, MetricPerformance

NOW = datetime(2026, 2, 10, 6, 0, tzinfo=UTC)
OK, WARNING, CRITICAL = Level.OK, Level.WARNING, Level.CRITICAL
CANNOT_TELL = Level.NOT_ENOUGH_DATA
DRIFT, QUALITY = AlertKind.DRIFT, AlertKind.QUALITY


def check_of(check_id: str = "c1", level: Level = OK, at: datetime = NOW) -> Check:
    """A finished check of the last 24 hours."""
    return Check(
        id=check_id,
        problem="plums",
        status=RunStatus.FINISHED,
        version=1,
        started_by="schedule",
        started_at=at,
        window="24h",
        ended_at=at,
        level=level,
        rows=500,
    )


def condition(kind: AlertKind, level: Level) -> Condition:
    """A condition with words of its own."""
    if level in (OK, CANNOT_TELL):
        return Condition(kind, level)
    return Condition(kind, level, f"{kind.value} is {level.value}.", (f"weight: {level.value}",))


def reason(topic: Topic, level: Level, text: str = "") -> Reason:
    """A reason of a verdict."""
    said = text or f"{topic.value} is {level.value}."
    return Reason(topic=topic, level=level, subject="", measured=None, limit=None, text=said)


def report_of(
    levels: Mapping[Topic, Level],
    *,
    check_id: str = "c1",
    rows: int = 500,
    estimated_loss: float | None = None,
    realized_loss: float | None = None,
    level: Level = WARNING,
) -> DriftReport:
    """A report whose verdict has one reason for each topic."""
    side = Side(data_version="", rows=rows, sampled_rows=rows)
    return DriftReport(
        compared=Compared(
            check_id=check_id,
            problem="plums",
            checked_at=NOW,
            batch_id=None,
            window="24h",
            version=1,
            run_id="r1",
            reference=side,
            analysis=side,
            seed=1,
        ),
        verdict=CheckVerdict(
            level=level,
            summary="",
            reasons=tuple(reason(topic, found) for topic, found in levels.items()),
        ),
        quality=(),
        chunks=(),
        features=(),
        prediction=None,
        reconstruction=None,
        domain_classifier=None,
        performance=(
            MetricPerformance(
                metric="roc_auc",
                reference_value=0.9,
                lower_threshold=None,
                upper_threshold=None,
                whole_threshold=None,
                estimated=_below(estimated_loss, rows),
                realized=_below(realized_loss, rows),
            ),
        ),
        estimator=None,
        labelled_rows=0 if realized_loss is None else rows,
    )


def _below(loss: float | None, rows: int) -> MetricCourse | None:
    if loss is None:
        return None
    return MetricCourse(value=0.9 - loss, low=None, high=None, rows=rows)
