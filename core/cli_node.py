"""The commands that run one node of a Ray cluster in the foreground: node head, node join."""

from __future__ import annotations

from typing import Annotated

import typer

from core.services.layout import layout_of
from core.services.nodes import become_head, join_head
from core.settings import inherited_environment, load_settings

Head = Annotated[str, typer.Option(help="Host and port of the head; the home tells it.")]
Address = Annotated[str, typer.Option(help="Address by which other nodes reach this one.")]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    group = typer.Typer(no_args_is_help=True)
    group.command()(head)
    group.command()(join)
    app.add_typer(group, name="node", help="Runs a node of Ray's cluster in the foreground.")


def head() -> None:
    """Runs Ray's head alone, for an installation whose other services run elsewhere."""
    settings = load_settings()
    become_head(settings, layout_of(settings.home), inherited_environment())


def join(head: Head = "", address: Address = "") -> None:
    """Joins this machine to the cluster of an installation, whose home it shares."""
    settings = load_settings()
    become = (settings, layout_of(settings.home), inherited_environment())
    join_head(*become, head=head, address=address)
