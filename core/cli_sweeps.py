"""Commands on sweeps over resource profiles."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from core.bootstrap import Pilothouse
from core.cli_models import pairs
from core.cli_output import CONSOLE, ERRORS, FAILED, Json, print_json, print_table
from core.cli_session import sign_in
from core.domain import RunStatus, Sweep
from core.training.advice import advise
from core.training.profile_means import profile_means
from core.training.sweep_report import SweepReport

POLL_S = 1.0
Problem = Annotated[str, typer.Argument(help="Name of the problem.")]
SweepId = Annotated[str, typer.Argument(help="Id of the sweep.")]

profiles_app = typer.Typer(no_args_is_help=True, help="Look at sweeps and cancel them.")


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command("profile")(profile)
    app.add_typer(profiles_app, name="profiles")


def profile(
    problem: Problem,
    profiles: Annotated[
        str | None,
        typer.Option(help="Profiles, by name or as 2x1c-2g, with commas between; all by default."),
    ] = None,
    families: Annotated[
        str | None, typer.Option(help="Model families, with commas between; all by default.")
    ] = None,
    repeat: Annotated[int, typer.Option(help="How often each is measured.")] = 2,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", help="A training parameter, such as search.trials=6."),
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Return when the sweep has ended.")] = False,
    as_json: Json = False,
) -> None:
    """Measure what profiles and model families cost; goes on when this command ends."""
    pilothouse, actor = sign_in()
    params = pilothouse.params
    sweep = pilothouse.sweeps.start(
        problem,
        profiles=_names(profiles, tuple(params.profiles)),
        families=_names(families, params.training.search.families),
        repeat=repeat,
        overrides=pairs(changes or []),
        actor=actor,
    )
    if wait:
        sweep = _follow(pilothouse, sweep)
    _show(pilothouse, sweep, as_json=as_json)
    if sweep.status in (RunStatus.FAILED, RunStatus.CANCELLED):
        raise typer.Exit(FAILED)


def _names(text: str | None, default: tuple[str, ...]) -> tuple[str, ...]:
    if text is None:
        return default
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _follow(pilothouse: Pilothouse, sweep: Sweep) -> Sweep:
    with ERRORS.status("queued") as shown:
        while sweep.status.is_active:
            at = sweep.progress
            if at is not None:
                shown.update(f"{at.percent:3d} % {at.stage.value} {at.message}".rstrip())
            time.sleep(POLL_S)
            sweep = pilothouse.sweeps.get(sweep.id)
    return sweep


def _show(pilothouse: Pilothouse, sweep: Sweep, *, as_json: bool) -> None:
    """Prints a sweep and, once it has finished, what it measured and what follows."""
    report = None
    if sweep.status is RunStatus.FINISHED:
        report = pilothouse.sweeps.report(sweep.id)
    if as_json:
        advice = None if report is None else advise(report)
        print_json({"id": sweep.id, "sweep": sweep, "report": report, "advice": advice})
        return
    CONSOLE.print(_sentence(sweep), highlight=False, markup=False)
    if report is not None:
        _print_report(report)


def _sentence(sweep: Sweep) -> str:
    text = f"Sweep {sweep.id} of {sweep.problem} is {sweep.status.value}."
    if sweep.status.is_active and sweep.progress is not None:
        text += f" {sweep.progress.percent} %: {sweep.progress.message}"
    return f"{text} {sweep.error or ''}".strip()


def _print_report(report: SweepReport) -> None:
    header = ["profile", "family", "AUC", "seconds", "core-seconds", "memory", "utilization", "GC"]
    rows = [
        (
            mean.profile.name,
            mean.family,
            mean.cv_auc,
            f"{mean.seconds:.1f}",
            f"{mean.core_seconds:.0f}",
            f"{mean.peak_rss_mb:.0f} MiB",
            f"{mean.utilization:.0%}",
            f"{mean.gc_share:.1%}",
        )
        for mean in profile_means(report)
    ]
    print_table("Means over the repeats", header, rows)
    advice = advise(report)
    print_table(
        f"Advice: {advice.profile}, {advice.family}",
        ["about", "reason"],
        [(reason.topic.value, reason.text) for reason in advice.reasons],
    )


@profiles_app.command("list")
def list_sweeps(
    problem: Problem,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 20,
    as_json: Json = False,
) -> None:
    """List sweeps of a problem, newest first."""
    found = sign_in().pilothouse.sweeps.list(problem, limit)
    if as_json:
        print_json(found)
        return
    header = ["id", "status", "profiles", "families", "repeats", "started", "by"]
    rows = [
        (
            s.id,
            s.status.value,
            ", ".join(s.profiles),
            ", ".join(s.families),
            s.repeat,
            s.started_at,
            s.started_by,
        )
        for s in found
    ]
    print_table(f"Sweeps of {problem}", header, rows)


@profiles_app.command("show")
def show_sweep(sweep_id: SweepId, as_json: Json = False) -> None:
    """Show a sweep and, once it has finished, its measurements and advice."""
    pilothouse = sign_in().pilothouse
    _show(pilothouse, pilothouse.sweeps.get(sweep_id), as_json=as_json)


@profiles_app.command("logs")
def show_log(
    sweep_id: SweepId,
    tail: Annotated[int, typer.Option(min=1, help="Lines from the end.")] = 200,
) -> None:
    """Print the log of a sweep."""
    typer.echo(sign_in().pilothouse.sweeps.log(sweep_id, tail=tail))


@profiles_app.command("cancel")
def cancel_sweep(sweep_id: SweepId, as_json: Json = False) -> None:
    """End a sweep; returns once its processes are gone."""
    pilothouse, actor = sign_in()
    ended = pilothouse.sweeps.cancel(sweep_id, actor=actor)
    if as_json:
        print_json(ended)
    else:
        CONSOLE.print(_sentence(ended), highlight=False, markup=False)
