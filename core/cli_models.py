"""Commands on runs, promotions and the served models."""

from __future__ import annotations

from typing import Annotated

import typer

from core.bootstrap import connect
from core.cli_output import CONSOLE, ERRORS, FAILED, Json, print_json, print_table
from core.domain import Run, RunStatus
from core.errors import InvalidInputError
from core.first_start import ensure_models, follow
from core.settings import Settings, load_settings

runs_app = typer.Typer(no_args_is_help=True, help="Look at training runs and cancel them.")
promote_app = typer.Typer(no_args_is_help=True, help="Decide what serves.")
serve_app = typer.Typer(no_args_is_help=True, help="Look at the served models.")

Problem = Annotated[str, typer.Argument(help="Name of the problem.")]
RunId = Annotated[str, typer.Argument(help="Id of the run.")]
RequestId = Annotated[str, typer.Argument(help="Id of the promotion request.")]
Reason = Annotated[str, typer.Option(help="Why; kept for ever.")]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command("run")(run)
    app.add_typer(runs_app, name="runs")
    app.add_typer(promote_app, name="promote")
    app.add_typer(serve_app, name="serve")


def run(
    problem: Problem,
    profile: Annotated[str | None, typer.Option(help="Resource profile.")] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", help="A training parameter, such as search.trials=6."),
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Return when the run has ended.")] = False,
    as_json: Json = False,
) -> None:
    """Train a problem's model; the run goes on when this command ends."""
    pilothouse = connect()
    started = pilothouse.runs.start(
        problem,
        profile=profile,
        overrides=pairs(changes or []),
        actor=pilothouse.settings.operator,
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
    pilothouse = connect(settings)
    told = ""
    with CONSOLE.status("looking for models") as shown:

        def say(text: str) -> None:
            nonlocal told
            shown.update(text)
            if not CONSOLE.is_terminal and text != told:
                CONSOLE.print(f"  {text}", highlight=False)
            told = text

        ensure_models(pilothouse, say)


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
    found = connect().runs.list(problem, limit)
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
    """Show one run and, once it is finished, its metrics."""
    pilothouse = connect()
    found = pilothouse.runs.get(run_id)
    report = None
    if found.status is RunStatus.FINISHED:
        report = pilothouse.experiments.report(run_id)
    if as_json:
        print_json({"id": run_id, "run": found, "report": report})
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


@runs_app.command("logs")
def show_log(
    run_id: RunId,
    tail: Annotated[int, typer.Option(min=1, help="Lines from the end.")] = 200,
) -> None:
    """Print the log of a run."""
    typer.echo(connect().runs.log(run_id, tail=tail))


@runs_app.command("cancel")
def cancel_run(run_id: RunId, as_json: Json = False) -> None:
    """End a run; returns once its processes are gone."""
    pilothouse = connect()
    ended = pilothouse.runs.cancel(run_id, actor=pilothouse.settings.operator)
    if as_json:
        print_json(ended)
    else:
        CONSOLE.print(_sentence(ended), highlight=False, markup=False)


@promote_app.command("list")
def list_requests(
    problem: Annotated[str | None, typer.Option(help="Only this problem.")] = None,
    open_only: Annotated[bool, typer.Option("--open", help="Only those that wait.")] = False,
    as_json: Json = False,
) -> None:
    """List promotion requests, newest first."""
    found = connect().promotions.requests(problem, open_only=open_only)
    if as_json:
        print_json(found)
        return
    header = ["id", "problem", "version", "status", "requested", "by", "decided by", "reason"]
    rows = [
        (
            r.id,
            r.problem,
            f"v{r.version}",
            r.status.value,
            r.requested_at,
            r.requested_by,
            r.decided_by,
            r.reason,
        )
        for r in found
    ]
    print_table("Promotion requests", header, rows)


@promote_app.command("approve")
def approve(request_id: RequestId, reason: Reason, as_json: Json = False) -> None:
    """Make a waiting version Production and wait until it serves."""
    pilothouse = connect()
    done = pilothouse.promotions.approve(
        request_id, reason=reason, actor=pilothouse.settings.operator
    )
    pilothouse.reconciler.repair()
    pilothouse.serving.wait_until_serving(
        done.problem, done.version, pilothouse.settings.start_timeout_s
    )
    if as_json:
        print_json(done)
    else:
        CONSOLE.print(f"{done.problem} v{done.version} is Production and serves.", highlight=False)


@promote_app.command("reject")
def reject(request_id: RequestId, reason: Reason, as_json: Json = False) -> None:
    """Close a request; the version does not serve."""
    pilothouse = connect()
    done = pilothouse.promotions.reject(
        request_id, reason=reason, actor=pilothouse.settings.operator
    )
    if as_json:
        print_json(done)
    else:
        CONSOLE.print(f"Request {done.id} is rejected.", highlight=False)


@promote_app.command("history")
def history(problem: Problem, as_json: Json = False) -> None:
    """Show what served since when, and who decided."""
    found = connect().promotions.history(problem)
    if as_json:
        print_json(found)
        return
    rows = [(f"v{p.version}", p.since, p.rule, p.decided_by, p.reason) for p in found]
    print_table(f"Production of {problem}", ["version", "since", "rule", "by", "reason"], rows)


@serve_app.command("status")
def serve_status(as_json: Json = False) -> None:
    """Show what answers on the serving port."""
    found = connect().serving.status()
    if as_json:
        print_json(found)
        return
    CONSOLE.print(
        f"{load_settings().serving_url} is {found.health.value} with {found.replicas} replicas. "
        f"{found.detail}",
        highlight=False,
        markup=False,
    )
    rows = [(s.problem, f"v{s.version}", s.family, s.threshold, s.run_id) for s in found.served]
    print_table("Served", ["problem", "version", "family", "threshold", "run"], rows)
