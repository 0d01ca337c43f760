"""The command that asks the policy of retraining."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from core.cli_output import CONSOLE, Json, print_json, print_table
from core.cli_session import sign_in
from core.monitoring.retrains import Retrain


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("retrain")(retrain)


def retrain(
    problem: Annotated[str, typer.Argument(help="Name of the problem.")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done and do nothing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Train again if the policy of params.yaml says so, and say why or why not.

    Exits 0 whether a run was started or nothing is to be done.
    """
    now = datetime.now(UTC)
    pilothouse, actor = sign_in()
    retraining = pilothouse.retraining
    done = Retrain(retraining.decide(problem, now))
    if done.decision.retrain and not dry_run:
        done = retraining.retrain(problem, now, asked_by=actor)
    if as_json:
        print_json({"decision": done.decision, "run": done.run})
        return
    print_table(
        f"Retraining {problem}",
        ["speaks", "about", "reason"],
        [(reason.speaks.value, reason.about, reason.text) for reason in done.decision.reasons],
    )
    CONSOLE.print(_sentence(done, problem), highlight=False, markup=False)


def _sentence(done: Retrain, problem: str) -> str:
    if done.run is not None:
        return f"Run {done.run.id} of {problem} is {done.run.status.value}."
    return "The policy wants a retrain." if done.decision.retrain else "Nothing is to be done."
