"""Commands on alerts."""

from __future__ import annotations

from typing import Annotated

import typer

from core.cli_output import CONSOLE, Json, print_json, print_table
from core.cli_session import sign_in
from core.domain_watching import Alert

AlertId = Annotated[str, typer.Argument(help="Id of the alert.")]

alerts_app = typer.Typer(no_args_is_help=True, help="Look at alerts and acknowledge them.")


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.add_typer(alerts_app, name="alerts")


@alerts_app.command("list")
def list_alerts(
    problem: Annotated[str | None, typer.Argument(help="Name of the problem.")] = None,
    open_only: Annotated[bool, typer.Option("--open", help="Only those that are open.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
    as_json: Json = False,
) -> None:
    """List alerts, newest first."""
    found = sign_in().pilothouse.alerts.list(problem, open_only=open_only, limit=limit)
    if as_json:
        print_json(found)
        return
    header = ["id", "problem", "kind", "severity", "status", "raised", "summary", "retrain"]
    rows = [
        (
            a.id,
            a.problem,
            a.kind.value,
            a.severity.value,
            a.status.value,
            a.raised_at,
            a.summary,
            _retrain(a),
        )
        for a in found
    ]
    print_table("Open alerts" if open_only else "Alerts", header, rows)


def _retrain(alert: Alert) -> str:
    if alert.run_id is None:
        return ""
    return alert.outcome or f"Run {alert.run_id[:8]} is under way."


@alerts_app.command("show")
def show_alert(alert_id: AlertId, as_json: Json = False) -> None:
    """Show an alert, what stands out, and whether it was delivered."""
    alerts = sign_in().pilothouse.alerts
    alert, deliveries = alerts.get(alert_id), alerts.deliveries(alert_id)
    if as_json:
        print_json({"id": alert.id, "alert": alert, "deliveries": deliveries})
        return
    CONSOLE.print(_text(alert), highlight=False, markup=False)
    rows = [
        (d.event.value, d.attempts, d.delivered_at or f"not before {d.next_at:%H:%M:%S}", d.error)
        for d in deliveries
    ]
    print_table("Deliveries", ["event", "attempts", "delivered", "last answer"], rows)


def _text(alert: Alert) -> str:
    by = f" by check {alert.check_id}" if alert.check_id else ""
    lines = [
        f"Alert {alert.id}: {alert.kind.value} of {alert.problem}, {alert.severity.value}, "
        f"{alert.status.value}. Raised {alert.raised_at:%Y-%m-%d %H:%M} UTC{by}.",
        alert.summary,
        *(f"- {detail}" for detail in alert.details),
    ]
    if alert.acknowledged_at is not None:
        seen = f"{alert.acknowledged_at:%Y-%m-%d %H:%M} UTC"
        lines.append(f"Acknowledged by {alert.acknowledged_by} {seen}: {alert.note}")
    if alert.run_id is not None:
        lines.append(f"Retrain: {_retrain(alert)}")
    return "\n".join(lines)


@alerts_app.command("acknowledge")
def acknowledge_alert(
    alert_id: AlertId,
    note: Annotated[str, typer.Option(help="What you say of it.")],
    as_json: Json = False,
) -> None:
    """Note that you have seen an alert; it closes when its condition ends."""
    pilothouse, actor = sign_in()
    alert = pilothouse.alerts.acknowledge(alert_id, note=note, actor=actor)
    if as_json:
        print_json(alert)
    else:
        CONSOLE.print(f"Alert {alert.id} is acknowledged.", highlight=False, markup=False)


@alerts_app.command("test")
def send_test() -> None:
    """Send a test message to the receivers of alerts."""
    pilothouse, actor = sign_in()
    pilothouse.alerts.send_trial(actor=actor)
    CONSOLE.print("The receivers have taken the test message.")
