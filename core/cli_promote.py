"""Commands on promotions: what waits, what was decided, what served when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer

from core.bootstrap import Pilothouse
from core.cli_output import CONSOLE, Json, print_json, print_table
from core.cli_session import sign_in
from core.domain import GateResult, Promotion
from core.errors import InvalidInputError, NotFoundError, Offence, PilothouseError, UnavailableError
from core.promotion.decisions import Decided
from core.promotion.promotions import PromotionService
from core.wording import count
from core.wording import share as percent

promote_app = typer.Typer(no_args_is_help=True, help="Decide what serves.")

Problem = Annotated[str, typer.Argument(help="Name of the problem.")]
RequestId = Annotated[str, typer.Argument(help="Id of the promotion request.")]
Reason = Annotated[str, typer.Option(help="Why; kept for ever.")]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.add_typer(promote_app, name="promote")


@promote_app.command("list")
def list_requests(
    problem: Annotated[str | None, typer.Option(help="Only this problem.")] = None,
    open_only: Annotated[bool, typer.Option("--open", help="Only those that wait.")] = False,
    as_json: Json = False,
) -> None:
    """List promotion requests, newest first."""
    found = sign_in().pilothouse.promotions.requests(problem, open_only=open_only)
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


@promote_app.command("request")
def request(
    problem: Problem,
    version: Annotated[int, typer.Argument(help="Number of a registered version.")],
    reason: Reason,
    as_json: Json = False,
) -> None:
    """Ask for a registered version to be promoted; somebody has to approve it."""
    pilothouse, actor = sign_in()
    opened = pilothouse.promotions.request(problem, version, actor=actor, reason=reason)
    if as_json:
        print_json(opened)
        return
    _print_gates(opened.gates)
    _say(f"{problem} v{version} waits for approval as request {opened.id}.")


@promote_app.command("approve")
def approve(request_id: RequestId, reason: Reason, as_json: Json = False) -> None:
    """Approve a request; once it has approvals enough, wait until its version serves."""
    approve_request(request_id, reason, as_json=as_json)


def approve_request(
    request_id: str,
    reason: str,
    *,
    as_json: bool,
    in_steps: bool = False,
    despite_budget: str = "",
) -> None:
    """Approves a request and says what it has come to."""
    pilothouse, actor = sign_in()
    done = pilothouse.promotions.approve(
        request_id, reason=reason, actor=actor, in_steps=in_steps, despite_budget=despite_budget
    )
    if done.promotion is not None:
        _go_live(pilothouse, done.promotion)
    if as_json:
        print_json(done.rollout or done.promotion or done.request)
    else:
        _say(_sentence(done))


@promote_app.command("reject")
def reject(request_id: RequestId, reason: Reason, as_json: Json = False) -> None:
    """Close a request; the version does not serve."""
    pilothouse, actor = sign_in()
    done = pilothouse.promotions.reject(request_id, reason=reason, actor=actor)
    if as_json:
        print_json(done)
    else:
        _say(f"Request {done.id} is rejected.")


@promote_app.command("rollback")
def rollback(
    problem: Problem,
    reason: Reason,
    version: Annotated[
        int | None, typer.Option(help="An earlier Production version; else the one before.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Go back to an earlier Production version and wait until it serves."""
    pilothouse, actor = sign_in()
    done = pilothouse.promotions.rollback(problem, version, reason=reason, actor=actor)
    if not as_json:
        _print_gates(pilothouse.promotions.gates_of(problem, done.version))
    _go_live(pilothouse, done)
    if as_json:
        print_json(done)
    else:
        _say(f"{problem} v{done.version} is Production again and serves.")


@promote_app.command("restore")
def restore(problem: Problem, reason: Reason, as_json: Json = False) -> None:
    """Make the registry's aliases show the record again after somebody has moved them."""
    pilothouse, actor = sign_in()
    current = pilothouse.promotions.restore_alias(problem, actor=actor, reason=reason)
    if as_json:
        print_json(current)
    else:
        _say(f"The aliases of {problem} show the record again: v{current.version} is Production.")


@promote_app.command("history")
def history(
    problem: Problem,
    at: Annotated[
        str | None,
        typer.Option(
            "--at", help="Only what served then, such as 2026-01-31T08:15; UTC unless it says."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show what served since when, and who decided."""
    promotions = sign_in().pilothouse.promotions
    found = promotions.history(problem)
    if at is not None:
        moment = read_time(at)
        served = promotions.serving_at(problem, moment)
        if served is None:
            raise NotFoundError(
                f"Nothing of {problem} served at {moment:%Y-%m-%d %H:%M:%S} UTC.",
                fix=f"`pilothouse promote history {problem}` shows what served since when.",
            )
        found = (served,)
    if as_json:
        print_json([{**asdict(p), "answering_after_s": p.answering_after_s} for p in found])
        return
    header = ["version", "decided", "serving since", "after", "rule", "by", "reason", "request"]
    rows = [
        (
            f"v{p.version}",
            p.since,
            p.live_at,
            "" if p.answering_after_s is None else f"{p.answering_after_s:.1f} s",
            p.rule,
            p.decided_by,
            p.reason,
            p.request_id,
        )
        for p in found
    ]
    print_table(f"Production of {problem}", header, rows)
    if at is None and found:
        _say_aliases(promotions, problem)


def _say_aliases(promotions: PromotionService, problem: str) -> None:
    try:
        drift = promotions.alias_drift(problem)
    except UnavailableError as exc:
        _say(f"Whether aliases were moved cannot be told: {exc.message}")
        return
    for one in drift:
        _say(f"{one.said()} `pilothouse promote restore {problem}` puts it right.")


def read_time(text: str) -> datetime:
    """Reads a time in ISO 8601; without a zone it is in UTC.

    Raises:
        InvalidInputError: it is no time.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as exc:
        raise InvalidInputError(
            f"{text!r} is not a time.",
            fix="Write it like 2026-01-31T08:15 or 2026-01-31T08:15:00+01:00.",
            offences=[Offence("at", "not a time in ISO 8601")],
        ) from exc
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def _go_live(pilothouse: Pilothouse, promotion: Promotion) -> None:
    try:
        pilothouse.reconciler.go_live(promotion, pilothouse.settings.start_timeout_s)
    except PilothouseError as exc:
        raise UnavailableError(
            f"{promotion.problem} v{promotion.version} is Production by the record and does not "
            f"serve yet. {exc.message}",
            fix="The worker goes on: it completes the decision or takes it back, and the history "
            "says which.",
        ) from exc


def _sentence(done: Decided) -> str:
    name = f"{done.request.problem} v{done.request.version}"
    eyes = f"Four eyes: {done.four_eyes}."
    if done.rollout is not None and done.promotion is None:
        return (
            f"{name} answers {percent(done.rollout.share)} of the requests now; "
            f"`pilothouse rollout show {done.request.problem}` follows it. {eyes}"
        )
    if done.promotion is None:
        return f"{name} is approved; {count(done.missing, 'more approval')} needed. {eyes}"
    over = "; ".join(done.promotion.passed_over)
    return f"{name} is Production and serves. {eyes}{f' Passed over: {over}.' if over else ''}"


def _print_gates(gates: Sequence[GateResult]) -> None:
    rows = [(g.gate, g.verdict.value, "hard" if g.hard else "soft", g.reason) for g in gates]
    print_table("Gates", ["gate", "verdict", "kind", "reason"], rows)


def _say(text: str) -> None:
    CONSOLE.print(text, highlight=False, markup=False)
