"""The life of an alert: a pure function of what a check found and of the alerts there are.

One alert of a kind is open for a problem at a time. It is raised when its condition begins,
told again only when the condition gets worse, and closed when the condition ends. Its
severity is the worst since it was raised, so that a value that swings about a limit is not
told at every check.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from core.domain_watching import Alert, AlertKind, AlertStatus, Check, Level
from core.monitoring.report import DriftReport, Reason, Topic
from core.rollout.values import Rollout, RolloutStatus
from core.wording import share as percent

SEVERE = (Level.OK, Level.WARNING, Level.CRITICAL)
MOST_DETAILS = 10
#: Kinds that a check tells of.
CHECKED = (
    AlertKind.DRIFT,
    AlertKind.QUALITY,
    AlertKind.ESTIMATED_LOSS,
    AlertKind.REALIZED_LOSS,
)


@dataclass(frozen=True)
class Condition:
    """What a check says of one kind of alert.

    ``level`` is ``not enough data`` where the check cannot tell; such a condition neither
    raises nor closes. ``details`` are what stands out, worst first.
    """

    kind: AlertKind
    level: Level
    summary: str = ""
    details: tuple[str, ...] = ()


class AlertEvent(StrEnum):
    """What happens to an alert and is told to receivers; each at most once an alert."""

    RAISED = "raised"
    WORSE = "worse"
    CLOSED = "closed"


@dataclass(frozen=True)
class AlertChange:
    """An event, with the alert as it is after it."""

    event: AlertEvent
    alert: Alert


@dataclass(frozen=True)
class Finding:
    """What a finished check says about a problem, and when."""

    problem: str
    #: Empty where no check is behind it.
    check_id: str
    conditions: tuple[Condition, ...]
    at: datetime


def conditions_of(report: DriftReport) -> tuple[Condition, ...]:
    """One condition a kind of alert of checks, from the reasons of a report's verdict."""
    told = report.verdict.level is not Level.NOT_ENOUGH_DATA
    return tuple(
        _condition(kind, report.verdict.of(Topic(kind.value)) if told else ()) for kind in CHECKED
    )


def told_by(conditions: Iterable[Condition]) -> frozenset[AlertKind]:
    """Kinds on which a check has something to say."""
    return frozenset(one.kind for one in conditions if one.level in SEVERE)


def outdated(check: Check, others: Iterable[Check]) -> frozenset[AlertKind]:
    """Kinds on which a check of the same version and of newer data has had its say.

    Labels may come for an old batch, which is then checked again. That it was well is no
    news of the batches since, and that it drifted was told in its time.
    """
    return frozenset(
        kind
        for other in others
        if other.version == check.version and other.arrived_at > check.arrived_at
        for kind in other.told
    )


def moved_aliases(problem: str, said: Sequence[str], at: datetime) -> Finding:
    """What a look at the aliases of a problem says; no check is behind it.

    Args:
        problem: whose aliases.
        said: a sentence for each that does not show the promotion record.
        at: when.
    """
    level = Level.CRITICAL if said else Level.OK
    condition = Condition(AlertKind.MOVED_ALIAS, level, said[0] if said else "", tuple(said))
    return Finding(problem, "", (condition,), at)


def rolled_back(rollout: Rollout, at: datetime, *, is_past: bool = False) -> Finding:
    """What the newest rollout of a problem says: whether a guard has taken it back.

    It is past where another version was approved since.
    """
    is_back = rollout.status is RolloutStatus.ROLLED_BACK and not is_past
    said = f"v{rollout.version} was taken back at {percent(rollout.share)} of the requests."
    condition = Condition(
        AlertKind.ROLLOUT,
        Level.CRITICAL if is_back else Level.OK,
        said if is_back else "",
        (rollout.end_reason,) if is_back else (),
    )
    return Finding(rollout.problem, "", (condition,), at)


def _condition(kind: AlertKind, reasons: Sequence[Reason]) -> Condition:
    known = [reason for reason in reasons if reason.level in SEVERE]
    if not known:
        return Condition(kind, Level.NOT_ENOUGH_DATA)
    worst_first = sorted(known, key=lambda reason: -SEVERE.index(reason.level))
    out = [reason.text for reason in worst_first if reason.level is not Level.OK]
    if not out:
        return Condition(kind, Level.OK)
    more = f" and {len(out) - 1} more" if len(out) > 1 else ""
    summary = f"{out[0].rstrip('.')}{more}."
    return Condition(kind, worst_first[0].level, summary, tuple(out[:MOST_DETAILS]))


def changes(
    finding: Finding, alerts: Sequence[Alert], cooldown: timedelta
) -> tuple[AlertChange, ...]:
    """What is to be done with the alerts of a problem.

    Args:
        finding: what a check says; a kind without a condition is left as it is.
        alerts: every open alert of the problem, and those that have closed within
            ``cooldown`` at least.
        cooldown: how long after an alert has closed its kind is raised for something worse
            only.

    Returns:
        One change at most a kind of alert.
    """
    return tuple(
        change
        for condition in finding.conditions
        if (change := _change(condition, finding, alerts, cooldown)) is not None
    )


def _change(
    condition: Condition, finding: Finding, alerts: Sequence[Alert], cooldown: timedelta
) -> AlertChange | None:
    if condition.level not in SEVERE:
        return None
    own = [a for a in alerts if a.kind is condition.kind and a.problem == finding.problem]
    open_alerts = [alert for alert in own if alert.status.is_open]
    holds = condition.level is not Level.OK
    if open_alerts:
        (alert,) = open_alerts
        if not holds:
            closed = replace(alert, status=AlertStatus.CLOSED, closed_at=finding.at)
            return AlertChange(AlertEvent.CLOSED, closed)
        return _worsened(alert, condition, finding)
    if not holds or condition.level in _resting(own, finding.at - cooldown):
        return None
    return AlertChange(AlertEvent.RAISED, _raised(condition, finding))


def _resting(alerts: Sequence[Alert], since: datetime) -> Iterator[Level]:
    """Severities that are not raised yet: an alert as severe has closed a short while ago."""
    for alert in alerts:
        if alert.closed_at is not None and alert.closed_at > since:
            yield from SEVERE[: SEVERE.index(alert.severity) + 1]


def _worsened(alert: Alert, condition: Condition, finding: Finding) -> AlertChange | None:
    if SEVERE.index(condition.level) <= SEVERE.index(alert.severity):
        return None
    # Whoever has acknowledged it, has done so for something less severe.
    worse = replace(
        alert,
        severity=condition.level,
        summary=condition.summary,
        details=condition.details,
        check_id=finding.check_id,
        status=AlertStatus.OPEN,
    )
    return AlertChange(AlertEvent.WORSE, worse)


def _raised(condition: Condition, finding: Finding) -> Alert:
    return Alert(
        id=uuid.uuid4().hex[:12],
        problem=finding.problem,
        kind=condition.kind,
        severity=condition.level,
        summary=condition.summary,
        check_id=finding.check_id,
        status=AlertStatus.OPEN,
        raised_at=finding.at,
        details=condition.details,
    )
