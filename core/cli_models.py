"""Commands on runs and the served models."""

from __future__ import annotations

from dataclasses import fields
from typing import Annotated

import typer

from core.bootstrap import connect
from core.cli_load import show_budgets, show_load
from core.cli_output import CONSOLE, ERRORS, FAILED, Json, print_json, print_table
from core.cli_session import session_of, sign_in
from core.deployment.last_repair import last_repair, remark_on_files
from core.domain import Run, RunStatus
from core.errors import InvalidInputError
from core.first_start import ensure_models, follow
from core.settings import Settings, load_settings

runs_app = typer.Typer(no_args_is_help=True, help="Look at training runs and cancel them.")
serve_app = typer.Typer(no_args_is_help=True, help="Look at the served models.")

Problem = Annotated[str, typer.Argument(help="Name of the problem.")]
RunId = Annotated[str, typer.Argument(help="Id of the run.")]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command("run")(run)
    app.add_typer(runs_app, name="runs")
    app.add_typer(serve_app, name="serve")


def run(
    problem: Problem,
    profile: Annotated[
        str | None, typer.Option(help="Resource profile, by name or as 2x1c-2g.")
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", help="A training parameter, such as search.trials=6."),
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Return when the run has ended.")] = False,
    as_json: Json = False,
) -> None:
    """Train a problem's model; the run goes on when this command ends."""
    pilothouse, actor = sign_in()
    started = pilothouse.runs.start(
        problem,
        profile=profile,
        overrides=pairs(changes or []),
        actor=actor,
    )
    ended = started
    if wait:
        with ERRORS.status("queued") as shown:
            ended = follow(pilothouse, started, shown.update)
    if as_json:
        print_json(ended)
    else:
        CONSOLE.print(_sentence(ended), highlight=False, markup=False)
    if ended.status in (RunStatus.FAILED, RunStatus.CANCELLED):
        raise typer.Exit(FAILED)


def ensure_served(settings: Settings) -> None:
    """The last step of `up`: trains what an empty store lacks, waits until all is served."""
    session = session_of(connect(settings))
    told = ""
    with CONSOLE.status("looking for models") as shown:

        def say(text: str) -> None:
            nonlocal told
            shown.update(text)
            if not CONSOLE.is_terminal and text != told:
                CONSOLE.print(f"  {text}", highlight=False)
            told = text

        ensure_models(session.pilothouse, say, actor=session.actor)


def _sentence(item: Run) -> str:
    text = f"Run {item.id} of {item.problem} is {item.status.value}."
    if item.model_version is not None:
        text += f" It registered version {item.model_version}."
    return f"{text} {item.error or ''}".strip()


def pairs(changes: list[str]) -> dict[str, str]:
    """Reads what ``--set`` was given."""
    found: dict[str, str] = {}
    for change in changes:
        key, sign, value = change.partition("=")
        if not sign:
            raise InvalidInputError(
                f"{change!r} is not a change.", fix="Write it as --set search.trials=6."
            )
        found[key.strip()] = value.strip()
    return found


@runs_app.command("list")
def list_runs(
    problem: Annotated[str | None, typer.Option(help="Only this problem.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 20,
    as_json: Json = False,
) -> None:
    """List runs, newest first."""
    found = sign_in().pilothouse.runs.list(problem, limit)
    if as_json:
        print_json(found)
        return
    header = ["id", "problem", "status", "profile", "version", "started", "by"]
    rows = [
        (r.id, r.problem, r.status.value, r.profile, r.model_version, r.started_at, r.started_by)
        for r in found
    ]
    print_table("Runs", header, rows)


@runs_app.command("show")
def show_run(run_id: RunId, as_json: Json = False) -> None:
    """Show one run and, once it is finished, its metrics and the time of each stage."""
    pilothouse = sign_in().pilothouse
    found = pilothouse.runs.get(run_id)
    report = times = None
    if found.status is RunStatus.FINISHED:
        report = pilothouse.experiments.report(run_id)
        times = pilothouse.experiments.stage_times(run_id)
    if as_json:
        print_json({"id": run_id, "run": found, "report": report, "times": times})
        return
    CONSOLE.print(_sentence(found), highlight=False, markup=False)
    if report is not None:
        rows = [(name, e.value, e.low, e.high) for name, e in report.metrics.items()]
        level = f"{report.confidence:.0%}"
        print_table(
            f"{report.family} on {report.holdout_rows} holdout rows",
            ["metric", "value", f"{level} from", "to"],
            rows,
        )
    if times is not None:
        taken = [(one.stage.value, f"{one.seconds:.1f}") for one in times.stages]
        print_table("Stages", ["stage", "seconds"], taken)
        CONSOLE.print(f"Spark was {'warm' if times.spark_was_warm else 'started for it'}.")


@runs_app.command("logs")
def show_log(
    run_id: RunId,
    tail: Annotated[int, typer.Option(min=1, help="Lines from the end.")] = 200,
) -> None:
    """Print the log of a run."""
    typer.echo(sign_in().pilothouse.runs.log(run_id, tail=tail))


@runs_app.command("cancel")
def cancel_run(run_id: RunId, as_json: Json = False) -> None:
    """End a run; returns once its processes are gone."""
    pilothouse, actor = sign_in()
    ended = pilothouse.runs.cancel(run_id, actor=actor)
    if as_json:
        print_json(ended)
    else:
        CONSOLE.print(_sentence(ended), highlight=False, markup=False)


@serve_app.command("status")
def serve_status(as_json: Json = False) -> None:
    """Show what answers on the serving port."""
    pilothouse = sign_in().pilothouse
    found, load = pilothouse.serving.status(), pilothouse.load.look()
    repairs = {name: last_repair(pilothouse.audit, name) for name in pilothouse.problems}
    budgets = {name: pilothouse.slo.look(name) for name in pilothouse.problems}
    if as_json:
        told = {field.name: getattr(found, field.name) for field in fields(found)}
        print_json({**told, "load": load, "slo": budgets, "last_repairs": repairs})
        return
    CONSOLE.print(
        f"{load_settings().serving_url} is {found.health.value} with {found.replicas} replicas. "
        f"{found.detail}",
        highlight=False,
        markup=False,
    )
    rows = [(s.problem, f"v{s.version}", s.family, s.threshold, s.run_id) for s in found.served]
    print_table("Served", ["problem", "version", "family", "threshold", "run"], rows)
    for name, entry in repairs.items():
        remark = remark_on_files(pilothouse.promotions.production(name))
        told_of = f"last repair {entry.at:%Y-%m-%d %H:%M} UTC: {entry.headline}" if entry else ""
        for said in filter(None, (told_of, remark)):
            CONSOLE.print(f"{name}: {said}", highlight=False, markup=False)
    show_load(load)
    show_budgets(budgets)
