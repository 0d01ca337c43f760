"""The command that lets days pass quickly."""

from __future__ import annotations

from typing import Annotated

import typer

from core import cli_services
from core.bootstrap import LATER_ROWS, connect
from core.bootstrap_serving import connect_caller
from core.cli_output import CONSOLE, ERRORS, Json, print_json
from core.cli_session import Session, session_of
from core.first_start import ensure_model
from core.problems import require_problem
from core.promotion.audit import Action
from core.settings import Settings, load_settings
from core.settings_apart import ports_above, settings_apart
from core.simulation.simulation import DayReport, simulate

#: The home of simulations, in that of the installation.
HOME = "simulation"
#: Added to the four published ports, so that a simulation may run beside the real thing.
PORTS_APART = 1000


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("simulate")(run_simulation)


def run_simulation(
    problem: Annotated[str, typer.Argument(help="Name of the problem.")],
    days: Annotated[int, typer.Option(min=1, max=365, help="Days that pass.")] = 10,
    labels_after: Annotated[
        int, typer.Option(min=0, help="Days after which a day's labels come.")
    ] = 2,
    seed: Annotated[int, typer.Option(min=0, help="Seed of what arrives.")] = 7,
    here: Annotated[
        bool, typer.Option("--here", help="Use this installation, not one of its own.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Deliver later data day by day, labels late, and show what checks and alerts say.

    Without --here a second installation is started beside this one and left running.
    """
    settings = load_settings() if here else simulation_settings(load_settings())
    pilothouse, actor = _ready(settings, problem, start=not here)
    caller = connect_caller(settings, pilothouse.params.serving, pilothouse.database)
    reports = []
    for report in simulate(
        pilothouse,
        pilothouse.problems[problem],
        LATER_ROWS,
        caller,
        days=days,
        labels_after=labels_after,
        seed=seed,
        actor=actor,
    ):
        reports.append({"id": f"day-{report.day}", "day": report})
        if not as_json:
            CONSOLE.print(sentence(report), highlight=False, markup=False, soft_wrap=True)
    caller.close()
    if as_json:
        print_json(reports)
        return
    CONSOLE.print(f"Look at {settings.panel_link}/drift?problem={problem}", highlight=False)
    if not here:
        CONSOLE.print(f"To end it: PILOTHOUSE_HOME={settings.home} pilothouse down")


def simulation_settings(settings: Settings) -> Settings:
    """The installation beside ``settings`` in which its problems are simulated."""
    return settings_apart(
        settings,
        settings.home / HOME,
        params_file=settings.params_file,
        problem_packages=settings.problem_packages,
        operator=settings.operator,
        **ports_above(settings, PORTS_APART),
    )


def _ready(settings: Settings, problem: str, *, start: bool) -> Session:
    """The installation, up, with a version of the problem in production."""
    session = session_of(connect(settings))
    pilothouse = session.pilothouse
    require_problem(problem, pilothouse.problems)
    # Before anything is trained for somebody whose batches are refused afterwards.
    pilothouse.audit.require(
        Action.BATCH_ACCEPTED,
        actor=session.actor,
        object=f"simulation of {problem}",
        problem=problem,
    )
    if start:
        cli_services.start(settings, after_start=None)
    with ERRORS.status("looking for a model") as shown:
        ensure_model(pilothouse, problem, shown.update, actor=session.actor)
    return session


def sentence(report: DayReport) -> str:
    """What became of a day, in one line."""
    check = report.check
    said = check.summary or check.error or "no verdict"
    versions = " and ".join(f"v{version}" for version in report.versions)
    parts = [f"day {report.day:2d}: {report.batch.rows:,} rows, answered by {versions}. {said}"]
    if report.labels or report.labels_by_request:
        parts.append(
            f"{report.labels:,} late labels came for the batch, "
            f"{report.labels_by_request:,} by request."
        )
    if report.open_alerts:
        parts.append(f"Open alerts: {', '.join(report.open_alerts)}.")
    if report.run_id:
        parts.append(f"Retrained by run {report.run_id[:8]}.")
    return " ".join(parts)
