"""Whether a model is to be trained again: a pure function of a policy and of the situation.

A retrain starts when a trigger speaks for it and nothing speaks against it. The decision
carries every reason: for, against, and what was looked at without a say.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from core.domain_watching import AlertKind, Level
from core.monitoring.alerting import conditions_of
from core.monitoring.report import DriftReport
from core.monitoring.schedule import due
from core.params_alerts import RetrainingParams


class Speaks(StrEnum):
    """What a reason means for a retrain."""

    FOR = "for"
    AGAINST = "against"
    NEITHER = "neither"


@dataclass(frozen=True)
class RetrainReason:
    """One thing that was looked at."""

    speaks: Speaks
    #: The parameter of the policy, or what else it is about.
    about: str
    text: str


@dataclass(frozen=True)
class RetrainDecision:
    """Whether to retrain, and why."""

    retrain: bool
    reasons: tuple[RetrainReason, ...]

    def of(self, speaks: Speaks) -> tuple[RetrainReason, ...]:
        """Reasons that speak so."""
        return tuple(reason for reason in self.reasons if reason.speaks is speaks)


@dataclass(frozen=True)
class Seen:
    """What the last finished check says of the model that it looked at."""

    check_id: str
    version: int
    rows: int
    drift: Level
    #: By which performance is told.
    metric: str
    #: How far it is below the reference; ``None`` where that is not known.
    estimated_loss: float | None
    #: Whether the estimate of performance can be relied on.
    estimate_trusted: bool
    realized_loss: float | None
    #: What the report says of that loss: few labels may show a large one by chance.
    realized_level: Level


@dataclass(frozen=True)
class Situation:
    """All that the decision looks at."""

    now: datetime
    #: Version in production and since when; ``None`` before the first.
    version: int | None
    version_since: datetime | None
    seen: Seen | None
    #: Labelled rows that no retrain has learned from; ``None`` where nobody counted.
    new_labelled_rows: int | None
    #: Id of a run of the problem that has not ended.
    active_run: str | None
    last_retrain_at: datetime | None


def seen_by(check_id: str, report: DriftReport) -> Seen:
    """What a report says that the policy asks for."""
    levels = {condition.kind: condition.level for condition in conditions_of(report)}
    told = report.verdict.level is not Level.NOT_ENOUGH_DATA
    first = report.performance[0] if report.performance and told else None
    return Seen(
        check_id=check_id,
        version=report.compared.version,
        rows=report.compared.analysis.rows,
        drift=levels[AlertKind.DRIFT],
        metric=first.metric if first else "performance",
        estimated_loss=first.estimated_loss if first else None,
        estimate_trusted=report.estimator is None or report.estimator.trusted,
        realized_loss=first.realized_loss if first else None,
        realized_level=levels[AlertKind.REALIZED_LOSS],
    )


def decide(policy: RetrainingParams, situation: Situation) -> RetrainDecision:
    """Whether to retrain now."""
    reasons = (*_triggers(policy, situation), *_conditions(policy, situation))
    said = {reason.speaks for reason in reasons}
    return RetrainDecision(Speaks.FOR in said and Speaks.AGAINST not in said, reasons)


def _triggers(policy: RetrainingParams, situation: Situation) -> Iterator[RetrainReason]:
    if policy.critical_drift or policy.estimated_loss or policy.realized_loss:
        yield from _by_check(policy, situation)
    wanted, rows = policy.new_labelled_rows, situation.new_labelled_rows
    if wanted is not None and rows is not None:
        text = f"{rows:,} labelled rows are new; {wanted:,} bring about a retrain."
        yield _trigger("new_labelled_rows", rows >= wanted, text)
    if policy.cron is not None and situation.version_since is not None:
        last = max(situation.version_since, situation.last_retrain_at or situation.version_since)
        time = due(policy.cron, last, situation.now)
        text = f"The schedule {policy.cron!r} is not due."
        if time is not None:
            text = f"The schedule {policy.cron!r} was due {time:%Y-%m-%d %H:%M} UTC."
        yield _trigger("cron", time is not None, text)


def _trigger(about: str, fires: bool, text: str) -> RetrainReason:
    return RetrainReason(Speaks.FOR if fires else Speaks.NEITHER, about, text)


def _by_check(policy: RetrainingParams, situation: Situation) -> Iterator[RetrainReason]:
    seen = situation.seen
    silent = _why_silent(policy, situation)
    if seen is None or silent:
        yield RetrainReason(Speaks.NEITHER, "check", silent)
        return
    if policy.critical_drift:
        text = f"Drift is {seen.drift.value} by check {seen.check_id[:8]}."
        yield _trigger("critical_drift", seen.drift is Level.CRITICAL, text)
    if policy.estimated_loss is not None:
        loss, limit = seen.estimated_loss, policy.estimated_loss
        fires = loss is not None and loss > limit and seen.estimate_trusted
        doubt = "" if seen.estimate_trusted else " The estimate is not to be trusted."
        yield _trigger(
            "estimated_loss", fires, _loss_text(f"estimated {seen.metric}", loss, limit) + doubt
        )
    if policy.realized_loss is not None:
        loss, limit = seen.realized_loss, policy.realized_loss
        is_large = loss is not None and loss > limit
        fires = is_large and seen.realized_level in (Level.WARNING, Level.CRITICAL)
        doubt = " So few labels may show it by chance." if is_large and not fires else ""
        text = _loss_text(f"realized {seen.metric}", loss, limit) + doubt
        yield _trigger("realized_loss", fires, text)


def _why_silent(policy: RetrainingParams, situation: Situation) -> str:
    """Why the last check does not count; empty where it does."""
    seen = situation.seen
    if seen is None:
        return "No check has finished yet."
    if seen.version != situation.version:
        return f"The last check looked at v{seen.version}, which does not serve any more."
    if seen.rows < policy.min_rows:
        return f"The last check saw {seen.rows:,} rows; findings count from {policy.min_rows:,}."
    return ""


def _loss_text(what: str, loss: float | None, limit: float) -> str:
    if loss is None:
        return f"The {what} is not known."
    place = f"{loss:.3f} below" if loss >= 0 else f"{-loss:.3f} above"
    return f"The {what} is {place} the reference; more than {limit:g} below is too much."


def _conditions(policy: RetrainingParams, situation: Situation) -> Iterator[RetrainReason]:
    if situation.version is None:
        text = "No version serves yet; a person starts the first run."
        yield RetrainReason(Speaks.AGAINST, "production", text)
    if situation.active_run is not None:
        text = f"Run {situation.active_run[:8]} is active; there is one at a time."
        yield RetrainReason(Speaks.AGAINST, "active run", text)
    if situation.last_retrain_at is not None:
        over = situation.last_retrain_at + timedelta(hours=policy.cooldown_hours)
        rests = situation.now < over
        text = f"The last retrain began {situation.last_retrain_at:%Y-%m-%d %H:%M} UTC; "
        text += f"the next may from {over:%Y-%m-%d %H:%M} UTC on."
        yield RetrainReason(_against(rests), "cooldown_hours", text)
    rows, least = situation.new_labelled_rows, policy.min_labelled_rows
    if rows is not None:
        text = f"{rows:,} labelled rows are new; a retrain needs {least:,}."
        yield RetrainReason(_against(rows < least), "min_labelled_rows", text)


def _against(holds: bool) -> Speaks:
    return Speaks.AGAINST if holds else Speaks.NEITHER
