"""The commands that start, stop and examine an installation: up, down, status, doctor."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import typer
from rich.live import Live
from rich.table import Table
from rich.text import Text

from core.adapters.supervisor import SupervisorDaemon
from core.cli_output import CONSOLE, FAILED, Json, print_json, print_table
from core.domain_serving import Health, ServiceStatus
from core.services.checks import Check
from core.services.doctor import diagnose
from core.services.health import HealthService
from core.services.layout import layout_of
from core.services.manager import Outcome, ServiceManager
from core.services.waiting import Waiting
from core.settings import Settings, inherited_environment, load_settings
from core.start_check import require_safe_start

#: Runs when every program is healthy: fills an empty store, waits until a model is served.
AfterStart = Callable[[Settings], None]
_COLOURS = {Health.HEALTHY: "green", Health.STARTING: "yellow", Health.DOWN: "red"}


def register(app: typer.Typer, after_start: AfterStart | None = None) -> None:
    """Adds the commands; ``after_start`` is what ``up`` does once the programs are healthy."""

    @app.command()
    def up() -> None:
        """Starts every service, waits until all are healthy, prints the addresses."""
        start(load_settings(), after_start)

    app.command()(down)
    app.command()(status)
    app.command()(doctor)


def start(settings: Settings, after_start: AfterStart | None) -> None:
    """Brings the installation up, tells how it goes, and says where it is.

    Raises:
        PilothouseError: the machine is not fit, strangers could come in, or a service does
            not start.
    """
    began = time.monotonic()
    remarks = require_safe_start(settings)
    with _StartDisplay() as display:
        outcome = _manager(settings).up(display.say, display.show)
    if after_start is not None:
        after_start(settings)
    health = HealthService(settings)
    try:
        statuses = health.check()
    finally:
        health.close()
    _print_statuses(statuses)
    if outcome is Outcome.ALREADY_UP:
        CONSOLE.print("Everything was up already.")
    else:
        CONSOLE.print(f"Pilothouse is up after {time.monotonic() - began:.0f} s.")
    CONSOLE.print(f"Open {settings.panel_link} for the panel.")
    for remark in remarks:
        CONSOLE.print(f"[yellow]{remark}[/yellow]")


def down() -> None:
    """Stops everything that `up` started, and nothing else."""
    count = _manager(load_settings()).down()
    CONSOLE.print(f"Pilothouse is down: {count} processes ended." if count else "Nothing ran.")


def status(as_json: Json = False) -> None:
    """Shows each service, its address and its health; fails unless all are healthy."""
    health = HealthService(load_settings())
    try:
        statuses = health.check()
    finally:
        health.close()
    if as_json:
        print_json([_entry(one) for one in statuses])
    else:
        _print_statuses(statuses)
    if any(one.health is not Health.HEALTHY for one in statuses):
        raise typer.Exit(FAILED)


def doctor(as_json: Json = False) -> None:
    """Checks this machine and names the fix for each failure."""
    settings = load_settings()
    checks = diagnose(settings, layout_of(settings.home))
    if as_json:
        print_json(list(checks))
    else:
        for check in checks:
            _print_check(check)
    if not all(check.passed for check in checks):
        raise typer.Exit(FAILED)


class _StartDisplay:
    """A line per service: live on a terminal, otherwise one when it becomes healthy."""

    def __init__(self) -> None:
        self._live = Live(console=CONSOLE, refresh_per_second=4, transient=True)
        self._told: set[str] = set()

    def __enter__(self) -> _StartDisplay:
        if CONSOLE.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if CONSOLE.is_terminal:
            self._live.stop()

    def say(self, sentence: str) -> None:
        CONSOLE.print(sentence)

    def show(self, rows: Sequence[Waiting]) -> None:
        for row in rows:
            if row.is_healthy and row.name not in self._told:
                self._told.add(row.name)
                CONSOLE.print(f"  [green]✓[/green] {row.name:<8} {row.seconds:5.1f} s")
        waiting = Table.grid(padding=(0, 1))
        for row in rows:
            if not row.is_healthy:
                waiting.add_row(" ", "…", f"{row.name:<8}", f"{row.seconds:5.1f} s")
        self._live.update(waiting)


def _manager(settings: Settings) -> ServiceManager:
    layout = layout_of(settings.home)
    supervisor = SupervisorDaemon(layout.supervisor_socket)
    return ServiceManager(settings, layout, supervisor, inherited_environment())


def _print_statuses(statuses: Sequence[ServiceStatus]) -> None:
    rows = [
        (one.name, one.address, Text(one.health, style=_COLOURS[one.health]), one.detail)
        for one in statuses
    ]
    print_table("Services", ("service", "address", "health", "detail"), rows)


def _entry(one: ServiceStatus) -> dict[str, str]:
    return {
        "id": one.name,
        "address": one.address,
        "health": one.health.value,
        "detail": one.detail,
    }


def _print_check(check: Check) -> None:
    # Lines instead of a table: a narrow terminal would cut the names of settings.
    mark = "[green]✓[/green]" if check.passed else "[red]✗[/red]"
    CONSOLE.print(f"{mark} {check.id:<14}{check.found}", soft_wrap=True, highlight=False)
    if not check.passed:
        CONSOLE.print(f"{'':16}{check.fix}", soft_wrap=True, highlight=False)
