"""Commands on rollouts: what is on its way, and how it is steered."""

from __future__ import annotations

from typing import Annotated

import typer

from core.cli_output import CONSOLE, Json, print_json, print_table
from core.cli_promote import Problem, Reason, RequestId, approve_request
from core.cli_session import sign_in
from core.errors import ConflictError
from core.rollout.notes import VersionNotes, said_of_shadow
from core.rollout.values import Rollout, RolloutKind
from core.rollout.view import RolloutView
from core.wording import milliseconds
from core.wording import share as percent

rollout_app = typer.Typer(no_args_is_help=True, help="Let a version earn its traffic.")

DespiteBudget = Annotated[
    str, typer.Option(help="Why it may start although the error budget is spent.")
]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.add_typer(rollout_app, name="rollout")


@rollout_app.command("list")
def list_rollouts(
    problem: Annotated[str | None, typer.Option(help="Only this problem.")] = None,
    as_json: Json = False,
) -> None:
    """List shadows and canaries, newest first."""
    found = sign_in().pilothouse.rollouts.list(problem)
    if as_json:
        print_json(found)
        return
    header = ["id", "problem", "version", "kind", "status", "share", "started", "by", "ended by"]
    rows = [
        (
            r.id,
            r.problem,
            f"v{r.version}",
            r.kind.value,
            r.status.value,
            f"{percent(r.share)}",
            r.started_at,
            r.started_by,
            r.ended_by,
        )
        for r in found
    ]
    print_table("Rollouts", header, rows)


@rollout_app.command("show")
def show(problem: Problem, as_json: Json = False) -> None:
    """Show the active rollout of a problem, or the last one: measurements, guards, what follows."""
    rollouts = sign_in().pilothouse.rollouts
    newest = rollouts.active(problem) or next(iter(rollouts.list(problem, 1)), None)
    if newest is None:
        raise ConflictError(
            f"Nothing of {problem} was ever rolled out.",
            fix=f"`pilothouse rollout shadow {problem} VERSION` or `rollout canary REQUEST` "
            "starts one.",
        )
    view = rollouts.view(newest)
    if as_json:
        print_json({"id": newest.id, **vars(view)})
    else:
        _print_view(view)


@rollout_app.command("shadow")
def shadow(
    problem: Problem,
    version: Annotated[int, typer.Argument(help="Number of a registered version.")],
    reason: Reason,
    share: Annotated[
        float | None, typer.Option(help="Share of the requests, above 0 up to 1.")
    ] = None,
    despite_budget: DespiteBudget = "",
    as_json: Json = False,
) -> None:
    """Let a version score live requests too; nobody gets its answers."""
    pilothouse, actor = sign_in()
    started = pilothouse.rollouts.start_shadow(
        problem, version, share=share, actor=actor, reason=reason, despite_budget=despite_budget
    )
    _tell(
        started,
        f"v{version} scores {percent(started.share)} of the requests in the shadow.",
        as_json,
    )


@rollout_app.command("canary")
def canary(
    request_id: RequestId, reason: Reason, despite_budget: DespiteBudget = "", as_json: Json = False
) -> None:
    """Approve a request; its version takes over in the steps of `rollout.canary`."""
    approve_request(
        request_id, reason, as_json=as_json, in_steps=True, despite_budget=despite_budget
    )


@rollout_app.command("hold")
def hold(problem: Problem, reason: Reason, as_json: Json = False) -> None:
    """Keep a canary at its share until somebody lets it continue; guards still watch."""
    pilothouse, actor = sign_in()
    done = pilothouse.rollouts.hold(problem, actor=actor, reason=reason)
    _tell(done, f"v{done.version} is held at {percent(done.share)} of the requests.", as_json)


@rollout_app.command("continue")
def resume(problem: Problem, reason: Reason, as_json: Json = False) -> None:
    """Let a canary that is held go on."""
    pilothouse, actor = sign_in()
    done = pilothouse.rollouts.resume(problem, actor=actor, reason=reason)
    _tell(done, f"v{done.version} goes on from {percent(done.share)} of the requests.", as_json)


@rollout_app.command("stop")
def stop(problem: Problem, reason: Reason, as_json: Json = False) -> None:
    """End a shadow, or a canary: the version before answers every request again."""
    pilothouse, actor = sign_in()
    done = pilothouse.rollouts.stop(problem, actor=actor, reason=reason)
    _tell(done, f"The {done.kind.value} of {problem} v{done.version} has ended.", as_json)


def _tell(rollout: Rollout, said: str, as_json: bool) -> None:
    if as_json:
        print_json(rollout)
    else:
        _say(said)


def _print_view(view: RolloutView) -> None:
    one = view.rollout
    _say(
        f"{one.kind.value} of {one.problem} v{one.version} beside v{one.incumbent_version}: "
        f"{one.status.value} at {percent(one.share)} of the requests."
    )
    if one.kind is RolloutKind.SHADOW:
        _say(said_of_shadow(view.notes.shadow))
        return
    measured = [
        (f"v{version}", notes.requests, notes.failed, notes.rows, _mean_ms(notes))
        for version in (one.version, one.incumbent_version)
        for notes in (view.notes.of(one.step, version),)
    ]
    print_table("This step", ["version", "requests", "failed", "rows", "mean (ms)"], measured)
    if view.decision is not None:
        rows = [(g.name, g.verdict.value, g.reason) for g in view.decision.guards]
        print_table("Guards", ["guard", "verdict", "reason"], rows)
        _say(view.decision.reason)
    elif one.end_reason:
        _say(one.end_reason)


def _mean_ms(notes: VersionNotes) -> str:
    return milliseconds(notes.seconds / notes.requests * 1000.0 if notes.requests else None)


def _say(text: str) -> None:
    CONSOLE.print(text, highlight=False, markup=False)
