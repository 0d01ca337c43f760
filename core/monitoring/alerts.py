"""Alerts: raised and closed by checks, seen by people, sent to receivers."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Protocol

from core.adapters.database_alerts import AlertRecords, Delivery
from core.domain_watching import Alert, AlertKind, Check
from core.errors import PilothouseError, SetupError
from core.monitoring.alerting import Finding, changes, conditions_of, outdated, told_by
from core.monitoring.messages import Message, message_of, trial_message
from core.monitoring.report import DriftReport
from core.params_alerts import AlertParams
from core.promotion.audit import Action
from core.promotion.trail import AuditTrail

LOG = logging.getLogger(__name__)
MOST_DOUBLINGS = 30


class Receiver(Protocol):
    """Who is told of alerts."""

    def send(self, message: Message) -> None:
        """Returns once the message was taken.

        Raises:
            PilothouseError: it was not taken, as far as is known.
        """


class AlertService:
    """The alerts of every problem. Without a receiver they stay in the panel."""

    def __init__(
        self,
        params: AlertParams,
        records: AlertRecords,
        receiver: Receiver | None,
        panel_url: str,
        trail: AuditTrail,
    ) -> None:
        self._params = params
        self._records = records
        self._receiver = receiver
        self._panel_url = panel_url
        self._trail = trail

    def consider(
        self, check: Check, report: DriftReport, earlier: Iterable[Check] = ()
    ) -> frozenset[AlertKind]:
        """Raises, worsens and closes alerts by what a check has found.

        A check may be considered twice: the second time nothing is left to do.

        Args:
            check: the check.
            report: what it has found.
            earlier: checks of the problem that were considered before. What those of newer
                data have told stands.

        Returns:
            The kinds on which the check has something to say.

        Raises:
            ConflictError: another process does the same at this moment.
            UnavailableError: the database does not answer.
        """
        cooldown = timedelta(hours=self._params.cooldown_hours)
        conditions, old = conditions_of(report), outdated(check, earlier)
        current = tuple(one for one in conditions if one.kind not in old)
        self.act_on(Finding(check.problem, check.id, current, datetime.now(UTC)), cooldown)
        return told_by(conditions)

    def act_on(self, finding: Finding, cooldown: timedelta = timedelta()) -> None:
        """Raises, worsens and closes alerts by a finding; found twice, it is told once.

        Raises:
            ConflictError: another process does the same at this moment.
            UnavailableError: the database does not answer.
        """
        alerts = self._records.open_or_closed_since(finding.problem, finding.at - cooldown)
        todo = changes(finding, alerts, cooldown)
        if not todo:
            return
        self._records.apply(todo, deliver_at=finding.at if self._receiver is not None else None)
        for change in todo:
            alert = change.alert
            LOG.info(
                "alert %s: %s of %s, %s", alert.id, alert.kind.value, alert.problem, change.event
            )

    def list(
        self, problem: str | None = None, *, open_only: bool = False, limit: int = 1000
    ) -> tuple[Alert, ...]:
        """Alerts, newest first."""
        return self._records.list(problem, open_only=open_only, limit=limit)

    def get(self, alert_id: str) -> Alert:
        """Reads one alert.

        Raises:
            NotFoundError: there is no such alert.
        """
        return self._records.get(alert_id)

    def deliveries(self, alert_id: str) -> tuple[Delivery, ...]:
        """What was told of an alert or waits to be, in order."""
        return self._records.deliveries(alert_id)

    def acknowledge(self, alert_id: str, *, note: str, actor: str) -> Alert:
        """Notes that somebody has seen an alert and what they say of it.

        It stays open until its condition ends. Acknowledged again, the later note counts.

        Raises:
            NotFoundError: there is no such alert.
            ConflictError: it has closed already.
        """
        now, told = datetime.now(UTC), note.strip()
        with self._trail.act(
            Action.ALERT_ACKNOWLEDGED, actor=actor, object=f"alert {alert_id}", reason=told
        ) as act:
            alert = self._records.get(alert_id)
            act.problem = alert.problem
            also = act.done_with(f"{alert.kind.value}, {alert.severity.value}")
            self._records.acknowledge(alert_id, by=actor, at=now, note=told, also=also)
        return self._records.get(alert_id)

    def deliver_due(self, now: datetime) -> int:
        """Sends what is due and returns how many messages were taken.

        What is not taken is tried again later, each time after twice as long. It may take
        the timeout of every receiver for each message, so nobody should wait for it.
        """
        if self._receiver is None:
            return 0
        due = self._records.due(now)
        return sum(self._deliver(self._receiver, delivery, now) for delivery in due)

    def _deliver(self, receiver: Receiver, delivery: Delivery, now: datetime) -> bool:
        alert = self._records.get(delivery.alert_id)
        message = message_of(alert, delivery.event, delivery.key, self._panel_url)
        attempts = delivery.attempts + 1
        try:
            receiver.send(message)
        except PilothouseError as exc:
            LOG.warning("alert %s is not delivered yet: %s", delivery.key, exc)
            later = now + self._delay(delivery.attempts)
            failed = replace(delivery, attempts=attempts, next_at=later, error=str(exc))
            self._records.save_delivery(failed)
            return False
        sent = replace(delivery, attempts=attempts, delivered_at=datetime.now(UTC), error=None)
        self._records.save_delivery(sent)
        return True

    def _delay(self, earlier_attempts: int) -> timedelta:
        delay_s = self._params.retry_s * 2 ** min(earlier_attempts, MOST_DOUBLINGS)
        return timedelta(seconds=min(delay_s, self._params.retry_most_s))

    def send_trial(self, *, actor: str) -> None:
        """Sends a test message.

        Raises:
            ForbiddenError: the actor may not.
            SetupError: no receiver is set, or its address is not understood.
            UnavailableError: the receiver did not take it; the message says what it answered.
        """
        with self._trail.act(Action.TRIAL_ALERT_SENT, actor=actor, object="alerts") as act:
            if self._receiver is None:
                raise SetupError(
                    "No receiver of alerts is set.",
                    fix="Set PILOTHOUSE_ALERT_URL or PILOTHOUSE_ALERT_URL_FILE; "
                    "see docs/watching.md.",
                )
            self._receiver.send(trial_message(self._panel_url))
            act.done()
