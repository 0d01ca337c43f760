"""Alerts and the outbox of what is told about them, in the database.

An alert and what is to be told of it are written in one transaction, so that neither is
there without the other. A delivery is struck out after it was sent: whoever dies in between
sends it again, under the same key.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from core.adapters.database import Database
from core.adapters.database_tables import METADATA, Also, Row, utc
from core.domain_watching import Alert, AlertKind, AlertStatus, Level
from core.errors import ConflictError, NotFoundError
from core.monitoring.alerting import AlertChange, AlertEvent

OPEN = sa.text("status IN ('open', 'acknowledged')")
ALERTS = sa.Table(
    "alerts",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("problem", sa.String(64), nullable=False),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("severity", sa.String(32), nullable=False),
    sa.Column("summary", sa.Text, nullable=False),
    sa.Column("check_id", sa.String(64), nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("raised_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("details", sa.Text, nullable=False),
    sa.Column("acknowledged_by", sa.String(128)),
    sa.Column("acknowledged_at", sa.DateTime(timezone=True)),
    sa.Column("note", sa.Text),
    sa.Column("closed_at", sa.DateTime(timezone=True)),
    sa.Column("run_id", sa.String(64)),
    sa.Column("outcome", sa.Text, nullable=False),
    # At most one open alert of a kind, whoever looks at two checks at the same time.
    sa.Index(
        "one_open_alert_a_kind",
        "problem",
        "kind",
        unique=True,
        sqlite_where=OPEN,
        postgresql_where=OPEN,
    ),
)
DELIVERIES = sa.Table(
    "deliveries",
    METADATA,
    sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("alert_id", sa.String(64), nullable=False),
    # What is told: raised, worse, closed.
    sa.Column("event", sa.String(16), nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False, default=0),
    sa.Column("next_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("delivered_at", sa.DateTime(timezone=True)),
    sa.Column("error", sa.Text),
)


@dataclass(frozen=True)
class Delivery:
    """One event of an alert on its way to the receivers."""

    sequence: int
    alert_id: str
    event: AlertEvent
    attempts: int
    next_at: datetime
    delivered_at: datetime | None = None
    #: What went wrong last time.
    error: str | None = None

    @property
    def key(self) -> str:
        """By which a receiver drops repeats: the same at every attempt."""
        return f"{self.alert_id}:{self.event.value}"


class AlertRecords:
    """Alerts and their deliveries. Values in, values out."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def apply(self, changes: Sequence[AlertChange], *, deliver_at: datetime | None) -> None:
        """Writes what has happened to alerts and, unless ``None``, what is to be told of it.

        Raises:
            ConflictError: another process has changed one of the alerts meanwhile; nothing
                is written.
        """
        try:
            with self._database.begin() as connection:
                for change in changes:
                    _write(connection, change)
                    if deliver_at is not None:
                        told = {"alert_id": change.alert.id, "event": change.event.value}
                        row = DELIVERIES.insert().values(**told, attempts=0, next_at=deliver_at)
                        connection.execute(row)
        except IntegrityError as exc:
            raise ConflictError("Another process has raised the same alert.") from exc

    def get(self, alert_id: str) -> Alert:
        """Reads one alert.

        Raises:
            NotFoundError: there is no such alert.
        """
        found = self._alerts(ALERTS.select().where(ALERTS.c.id == alert_id))
        if not found:
            raise NotFoundError(
                f"There is no alert {alert_id!r}.", fix="`pilothouse alerts list` shows them."
            )
        return found[0]

    def list(
        self, problem: str | None, *, open_only: bool = False, limit: int = 1000
    ) -> tuple[Alert, ...]:
        """Alerts, newest first."""
        query = ALERTS.select().order_by(ALERTS.c.raised_at.desc()).limit(limit)
        if problem is not None:
            query = query.where(ALERTS.c.problem == problem)
        return self._alerts(query.where(OPEN) if open_only else query)

    def open_or_closed_since(self, problem: str, since: datetime) -> tuple[Alert, ...]:
        """Alerts of a problem that are open, or have closed after a time."""
        late = (ALERTS.c.closed_at.is_(None)) | (ALERTS.c.closed_at > since)
        return self._alerts(ALERTS.select().where((ALERTS.c.problem == problem) & late))

    def acknowledge(
        self, alert_id: str, *, by: str, at: datetime, note: str, also: Also | None = None
    ) -> None:
        """Notes that somebody has seen an open alert, and with it what ``also`` writes.

        Raises:
            ConflictError: it has closed already; nothing is written.
        """
        still_open = (ALERTS.c.id == alert_id) & OPEN
        values = {"acknowledged_by": by, "acknowledged_at": at, "note": note}
        seen = (
            ALERTS.update()
            .where(still_open)
            .values(**values, status=AlertStatus.ACKNOWLEDGED.value)
        )
        with self._database.begin(also) as connection:
            if connection.execute(seen).rowcount != 1:
                raise ConflictError(f"Alert {alert_id} has closed already.")

    def link_run(self, alert_ids: Sequence[str], run_id: str) -> None:
        """Notes the retrain that alerts have brought about; what became of it is open."""
        own = ALERTS.c.id.in_(alert_ids)
        with self._database.begin() as connection:
            connection.execute(ALERTS.update().where(own).values(run_id=run_id, outcome=""))

    def awaiting_outcome(self) -> tuple[Alert, ...]:
        """Alerts with a retrain of which it is not noted yet what became."""
        query = ALERTS.select().where(ALERTS.c.run_id.is_not(None) & (ALERTS.c.outcome == ""))
        return self._alerts(query)

    def note_outcome(self, alert_id: str, run_id: str, outcome: str) -> None:
        """Writes what became of an alert's retrain, unless a later one has taken its place."""
        own = (ALERTS.c.id == alert_id) & (ALERTS.c.run_id == run_id)
        with self._database.begin() as connection:
            connection.execute(ALERTS.update().where(own).values(outcome=outcome))

    def deliveries(self, alert_id: str) -> tuple[Delivery, ...]:
        """What was or is to be told of an alert, in order."""
        query = DELIVERIES.select().where(DELIVERIES.c.alert_id == alert_id)
        return self._deliveries(query.order_by(DELIVERIES.c.sequence))

    def due(self, now: datetime) -> tuple[Delivery, ...]:
        """The first thing still to be told of each alert, where its time has come.

        A later event of an alert waits for the earlier one, so that nobody hears of an end
        before the beginning.
        """
        waiting = DELIVERIES.c.delivered_at.is_(None)
        first = sa.select(sa.func.min(DELIVERIES.c.sequence)).where(waiting)
        heads = DELIVERIES.c.sequence.in_(first.group_by(DELIVERIES.c.alert_id))
        query = DELIVERIES.select().where(heads & (DELIVERIES.c.next_at <= now))
        return self._deliveries(query.order_by(DELIVERIES.c.sequence))

    def save_delivery(self, delivery: Delivery) -> None:
        """Writes how an attempt went."""
        own = DELIVERIES.c.sequence == delivery.sequence
        values = asdict(delivery) | {"event": delivery.event.value}
        with self._database.begin() as connection:
            connection.execute(DELIVERIES.update().where(own).values(**values))

    def _alerts(self, query: sa.Select[Any]) -> tuple[Alert, ...]:
        with self._database.begin() as connection:
            return tuple(_alert_from(row) for row in connection.execute(query).mappings())

    def _deliveries(self, query: sa.Select[Any]) -> tuple[Delivery, ...]:
        with self._database.begin() as connection:
            return tuple(_delivery_from(row) for row in connection.execute(query).mappings())


def _write(connection: sa.Connection, change: AlertChange) -> None:
    alert = change.alert
    if change.event is AlertEvent.RAISED:
        connection.execute(ALERTS.insert().values(**_values(alert)))
        return
    # Only what the event changes: a note or a run may have been written meanwhile.
    changed = ("severity", "summary", "details", "check_id", "status", "closed_at")
    values = {name: value for name, value in _values(alert).items() if name in changed}
    still_open = (ALERTS.c.id == alert.id) & OPEN
    if connection.execute(ALERTS.update().where(still_open).values(**values)).rowcount != 1:
        raise ConflictError("Another process has closed the same alert.")


def _values(alert: Alert) -> dict[str, Any]:
    texts = {name: getattr(alert, name).value for name in ("kind", "severity", "status")}
    return asdict(alert) | texts | {"details": json.dumps(alert.details)}


def _alert_from(row: Row) -> Alert:
    times = {
        name: utc(row[name]) if row[name] else None for name in ("acknowledged_at", "closed_at")
    }
    return replace(
        Alert(**{**row, **times, "raised_at": utc(row["raised_at"])}),
        kind=AlertKind(row["kind"]),
        severity=Level(row["severity"]),
        status=AlertStatus(row["status"]),
        details=tuple(json.loads(row["details"])),
    )


def _delivery_from(row: Row) -> Delivery:
    sent = utc(row["delivered_at"]) if row["delivered_at"] else None
    values = {**row, "next_at": utc(row["next_at"]), "delivered_at": sent}
    return Delivery(**{**values, "event": AlertEvent(row["event"])})
