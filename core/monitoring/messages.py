"""What people and programs are told about an alert: a pure function of the alert."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode

from core.domain_watching import Alert, Level
from core.monitoring.alerting import AlertEvent

MOST_NAMED = 3


@dataclass(frozen=True)
class Message:
    """One message to the receivers.

    ``fields`` is for programs: a webhook gets them as fields of its JSON. ``key`` among
    them is the same at every attempt, so that a receiver can drop repeats.
    """

    title: str
    body: str
    level: Level
    fields: Mapping[str, str] = field(default_factory=dict)


def message_of(alert: Alert, event: AlertEvent, key: str, panel_url: str) -> Message:
    """What is told of an alert: severity, problem, what stands out, and where to look."""
    link = report_link(alert, panel_url)
    what = f"{alert.kind.value} of {alert.problem}"
    closed = event is AlertEvent.CLOSED
    title = f"[closed] {what}" if closed else f"[{alert.severity.value}] {what}"
    named = [f"- {detail}" for detail in alert.details[:MOST_NAMED]]
    was = f"It was: {alert.summary}" if closed else alert.summary
    lines = [
        was,
        *([] if closed else named),
        f"{'Report' if alert.check_id else 'Panel'}: {link}",
        f"Key: {key}",
    ]
    return Message(
        title=title,
        body="\n".join(lines),
        level=Level.OK if closed else alert.severity,
        fields={
            "key": key,
            "alert": alert.id,
            "event": event.value,
            "problem": alert.problem,
            "kind": alert.kind.value,
            "severity": alert.severity.value,
            "link": link,
        },
    )


def report_link(alert: Alert, panel_url: str) -> str:
    """Address in the panel of the report of an alert's check, or of what serves."""
    if not alert.check_id:
        return f"{panel_url}/serving?{urlencode({'problem': alert.problem})}"
    return f"{panel_url}/drift?{urlencode({'problem': alert.problem, 'check': alert.check_id})}"


def trial_message(panel_url: str) -> Message:
    """What an operator sends to see whether the receivers hear."""
    body = f"Alerts of this installation will arrive here.\nPanel: {panel_url}"
    return Message("[test] Pilothouse", body, Level.OK, {"key": "test", "event": "test"})
