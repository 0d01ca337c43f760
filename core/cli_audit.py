"""Commands on the audit trail: who did what, and whether it is still what was written."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from core.cli_output import CONSOLE, FAILED, Json, print_json, print_table
from core.cli_session import sign_in
from core.errors import InvalidInputError, SetupError
from core.promotion.audit import Action, AuditRow, Chosen, Outcome
from core.promotion.audit_export import csv_table, json_lines, record_of
from core.promotion.trail import Verification
from core.wording import count

audit_app = typer.Typer(no_args_is_help=True, help="Read the audit trail and verify it.")
_UNITS = {"h": "hours", "d": "days"}

ProblemOption = Annotated[str, typer.Option("--problem", help="Only rows of this problem.")]
Actor = Annotated[str, typer.Option(help="Only what this actor did.")]
ActionOption = Annotated[Action | None, typer.Option("--action", help="Only this action.")]
OutcomeOption = Annotated[Outcome | None, typer.Option("--outcome", help="Only this outcome.")]
Since = Annotated[
    str, typer.Option(help="Not before: a time in ISO 8601 (UTC), or as long ago as 24h or 7d.")
]


class Format(StrEnum):
    """What an export is written as."""

    JSONL = "jsonl"
    CSV = "csv"


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.add_typer(audit_app, name="audit")


@audit_app.command("list")
def list_rows(
    problem: ProblemOption = "",
    actor: Actor = "",
    action: ActionOption = None,
    outcome: OutcomeOption = None,
    since: Since = "",
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
    as_json: Json = False,
) -> None:
    """List what was done, newest first."""
    chosen = _chosen(problem, actor, action, outcome, since)
    rows = sign_in().pilothouse.audit.list(limit, chosen)
    if as_json:
        print_json([{"id": row.sequence, **record_of(row)} for row in rows])
        return
    header = ["row", "time", "actor", "role", "action", "object", "outcome", "reason", "detail"]
    print_table("Audit trail", header, [_cells(row) for row in rows])


def _cells(row: AuditRow) -> Sequence[object]:
    entry = row.entry
    first = (row.sequence, entry.at, entry.actor, entry.role, entry.action, entry.object)
    return (*first, entry.outcome, entry.reason, entry.headline)


@audit_app.command("verify")
def verify(as_json: Json = False) -> None:
    """Look at every row and at the anchor; exits with 1 and names the rows that are wrong."""
    found = sign_in().pilothouse.audit.verify()
    if as_json:
        print_json({"is_whole": found.is_whole, "verification": found})
    else:
        CONSOLE.print(_sentence(found), highlight=False, markup=False, soft_wrap=True)
        for finding in found.findings:
            text = f"{finding.kind.value}: {finding.text}"
            CONSOLE.print(text, highlight=False, markup=False, soft_wrap=True)
    if not found.is_whole:
        raise typer.Exit(FAILED)


def _sentence(found: Verification) -> str:
    rows = count(found.rows, "row")
    if found.is_whole:
        return f"The audit trail is whole: {rows}, anchored up to row {found.anchored:,}."
    wrong = count(len(found.findings), "finding")
    return f"The audit trail is not what was written: {wrong} in {rows}. See docs/audit.md."


@audit_app.command("export")
def export(
    file: Annotated[
        Path | None, typer.Argument(help="File to write; without it, standard output.")
    ] = None,
    as_format: Annotated[
        Format | None, typer.Option("--format", help="By default what the file's name says.")
    ] = None,
    problem: ProblemOption = "",
    actor: Actor = "",
    action: ActionOption = None,
    outcome: OutcomeOption = None,
    since: Since = "",
) -> None:
    """Write the audit trail as JSON Lines or CSV, oldest row first."""
    chosen = _chosen(problem, actor, action, outcome, since)
    by_name = Format.CSV if file is not None and file.suffix == ".csv" else Format.JSONL
    rows = tuple(reversed(sign_in().pilothouse.audit.list(None, chosen)))
    text = csv_table(rows) if (as_format or by_name) is Format.CSV else json_lines(rows)
    if file is None:
        typer.echo(text, nl=False)
        return
    try:
        file.write_text(text, encoding="utf-8", newline="")
    except OSError as exc:
        why = os.strerror(exc.errno) if exc.errno else "no reason is known"
        raise SetupError(
            f"{file} cannot be written ({why}).", fix="Name a file in a folder that you may write."
        ) from exc
    CONSOLE.print(f"{count(len(rows), 'row')} in {file}.", highlight=False, markup=False)


@audit_app.command("anchor")
def anchor(
    reason: Annotated[str, typer.Option(help="Why it is set anew, such as a restored backup.")],
    as_json: Json = False,
) -> None:
    """Set the anchor on the newest row, whatever it was; what was wrong is recorded with it."""
    if not reason.strip():
        raise InvalidInputError("The anchor is not set anew without a reason.", fix="Say why.")
    pilothouse, actor = sign_in()
    before = pilothouse.audit.reanchor(actor=actor, reason=reason.strip())
    if as_json:
        print_json({"before": before})
    else:
        text = "The anchor is on the newest row. What was wrong before is in that row."
        CONSOLE.print(text, highlight=False, markup=False)


def _chosen(
    problem: str, actor: str, action: Action | None, outcome: Outcome | None, since: str
) -> Chosen:
    moment = read_moment(since, datetime.now(UTC)) if since else None
    return Chosen(problem, actor, action or "", outcome or "", moment)


def read_moment(text: str, now: datetime) -> datetime:
    """Reads a time, or how long ago it was.

    Raises:
        InvalidInputError: it is neither.
    """
    ago = re.fullmatch(r"(\d{1,5})([hd])", text.strip())
    if ago is not None:
        return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError as exc:
        raise InvalidInputError(
            f"{text!r} is no time.", fix="Write 2026-01-31, 2026-01-31T08:15, 24h or 7d."
        ) from exc
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
