"""Commands on keys of the served models."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from core.access.serving_key import Scope, ServingKey
from core.cli_output import CONSOLE, Json, print_json, print_table
from core.cli_session import sign_in
from core.errors import InvalidInputError

_DAYS = re.compile(r"^(\d{1,5})d$")

keys_app = typer.Typer(no_args_is_help=True, help="Make and revoke keys of the served models.")


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.add_typer(keys_app, name="keys")


@keys_app.command("make", hidden=True)
@keys_app.command("add")
def make_key(
    problem: Annotated[str, typer.Argument(help="Name of the one problem it is for.")],
    name: Annotated[str, typer.Option(help="What you call it, such as the caller that gets it.")],
    scope: Annotated[
        list[Scope] | None, typer.Option(help="What it is for; may be repeated. Default: predict.")
    ] = None,
    expires: Annotated[
        str | None, typer.Option(help="90d, or a day such as 2027-01-31, or a time. UTC.")
    ] = None,
    requests_per_second: Annotated[
        float | None, typer.Option(help="In place of serving.limits.requests_per_second.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a key; it is printed once and kept as a hash."""
    pilothouse, actor = sign_in()
    made = pilothouse.keys.make(
        problem,
        name,
        scope or [Scope.PREDICT],
        _time_of(expires, datetime.now(UTC)),
        requests_per_second=requests_per_second,
        actor=actor,
    )
    if as_json:
        print_json({"id": made.key.id, "key": made.key, "token": made.token})
        return
    typer.echo(made.token)
    CONSOLE.print(
        "Nobody can show it again. The served models take it within seconds.",
        highlight=False,
        markup=False,
    )


@keys_app.command("list")
def list_keys(
    problem: Annotated[str | None, typer.Argument(help="Name of the problem.")] = None,
    as_json: Json = False,
) -> None:
    """List keys, newest first."""
    found = sign_in().pilothouse.keys.list(problem)
    if as_json:
        print_json(found)
        return
    now = datetime.now(UTC)
    header = ["id", "problem", "name", "scopes", "state", "made", "by", "expires", "last used"]
    rows = [
        (
            key.id,
            key.problem,
            key.name,
            ", ".join(key.scopes),
            _state(key, now),
            key.created_at,
            key.created_by,
            key.expires_at or "never",
            key.last_used_at or "never",
        )
        for key in found
    ]
    print_table("Keys", header, rows)


@keys_app.command("revoke")
def revoke_key(
    key_id: Annotated[str, typer.Argument(help="Id of the key.")], as_json: Json = False
) -> None:
    """Take a key back; replicas refuse it within seconds."""
    pilothouse, actor = sign_in()
    key = pilothouse.keys.revoke(key_id, actor=actor)
    if as_json:
        print_json(key)
    else:
        said = f"Key {key.id} ({key.name}) is revoked. Replicas refuse it within seconds."
        CONSOLE.print(said, highlight=False, markup=False)


def _state(key: ServingKey, now: datetime) -> str:
    if key.revoked_at is not None:
        return f"revoked by {key.revoked_by}"
    return "valid" if key.opens(now) else "expired"


def _time_of(text: str | None, now: datetime) -> datetime | None:
    if text is None:
        return None
    days = _DAYS.match(text)
    try:
        if days:
            return now + timedelta(days=int(days[1]))
        at = datetime.fromisoformat(text)
    except (ValueError, OverflowError) as exc:
        raise InvalidInputError(
            f"{text!r} is no time.", fix="Write 90d, 2027-01-31 or 2027-01-31T12:00."
        ) from exc
    return at if at.tzinfo else at.replace(tzinfo=UTC)
