"""Commands on accounts: who may sign in, and what they may do."""

from __future__ import annotations

from typing import Annotated

import typer

from core.access.account import Account
from core.access.accounts import NewToken
from core.access.roles import Role
from core.cli_output import CONSOLE, Json, print_json, print_table
from core.cli_session import host_session, sign_in

users_app = typer.Typer(no_args_is_help=True, help="Say who may sign in, and as what.")

Name = Annotated[str, typer.Argument(help="Name of the account, such as anna.")]
RoleOption = Annotated[Role, typer.Option("--role", help="What they may do.")]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.add_typer(users_app, name="users")


@users_app.command("list")
def list_users(as_json: Json = False) -> None:
    """List every account by name."""
    accounts = sign_in().pilothouse.accounts
    found = accounts.list()
    if as_json:
        print_json([{"id": one.name, **_public(one)} for one in found])
        return
    header = ["name", "role", "from", "added", "by", "last seen", "removed"]
    rows = [tuple(_public(one).values()) for one in found]
    print_table("Accounts", header, rows)


@users_app.command("add")
def add(name: Name, role: RoleOption, as_json: Json = False) -> None:
    """Add an account and print its token, which is shown this once.

    The first account ends the time of the one local operator: from then on people sign in.
    """
    pilothouse, actor = host_session()
    _print_token(pilothouse.accounts.add(name, role, actor=actor), as_json)


@users_app.command("role")
def change_role(name: Name, role: RoleOption, as_json: Json = False) -> None:
    """Give an account another role, from its next action on."""
    pilothouse, actor = host_session()
    changed = pilothouse.accounts.change_role(name, role, actor=actor)
    if as_json:
        print_json(_public(changed))
    else:
        _say(f"{changed.name} is {changed.role.value} from now on.")


@users_app.command("remove")
def remove(name: Name, as_json: Json = False) -> None:
    """Remove an account: its token and its sessions end within seconds."""
    pilothouse, actor = host_session()
    removed = pilothouse.accounts.remove(name, actor=actor)
    if as_json:
        print_json(_public(removed))
    else:
        _say(f"{removed.name} may not sign in any more.")


@users_app.command("token")
def issue_token(name: Name, as_json: Json = False) -> None:
    """Print a new token for an account; the one before ends. For oneself: renew it."""
    pilothouse, actor = host_session()
    _print_token(pilothouse.accounts.issue_token(name, actor=actor), as_json)


@users_app.command("recover")
def recover(name: Name, as_json: Json = False) -> None:
    """Print a new token for an admin who lost theirs; who owns the files may, without one."""
    pilothouse, actor = host_session()
    _print_token(pilothouse.accounts.recover(name, actor=actor), as_json)


@users_app.command("whoami")
def who_am_i(as_json: Json = False) -> None:
    """Say who acts here, and under which role."""
    pilothouse, actor = sign_in()
    role = pilothouse.accounts.role_of(actor)
    if as_json:
        print_json({"name": actor, "role": role, "mode": pilothouse.accounts.mode.value})
    else:
        _say(f"{actor}, {role}.")


def _print_token(issued: NewToken, as_json: bool) -> None:
    account = issued.account
    if as_json:
        print_json({**_public(account), "token": issued.token})
        return
    _say(f"{account.name} is {account.role.value}. The token, shown this once:")
    # By itself on its line, so that it can be copied or piped.
    typer.echo(issued.token)
    _say("It signs in to the panel, and to commands as PILOTHOUSE_TOKEN.")


def _public(account: Account) -> dict[str, object]:
    return {
        "name": account.name,
        "role": account.role.value,
        "source": account.source.value,
        "created_at": account.created_at,
        "created_by": account.created_by,
        "last_seen_at": account.last_seen_at,
        "removed_at": account.removed_at,
    }


def _say(text: str) -> None:
    CONSOLE.print(text, highlight=False, markup=False)
