"""The commands that run one service in the foreground, for containers and systemd."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from core.bootstrap_store import connect_bucket
from core.cli_output import CONSOLE
from core.cli_services import AfterStart
from core.errors import SetupError
from core.services.foreground import become_ray_node, become_service
from core.services.layout import layout_of
from core.services.programs import mlflow, panel, ray, worker
from core.settings import inherited_environment, load_settings
from core.start_check import require_safe_start

Head = Annotated[str, typer.Option(help="Host and port of the head; the home tells it.")]
Address = Annotated[str, typer.Option(help="Address by which other nodes reach this one.")]
_SERVICES = {
    "ray": (ray, "Ray's head, with the proxy of the served models."),
    "mlflow": (mlflow, "The MLflow server."),
    "worker": (worker, "The worker."),
    "panel": (panel, "The panel."),
}


def register(app: typer.Typer, after_start: AfterStart) -> None:
    """Adds the commands; ``after_start`` is what ``up`` does once the programs are healthy."""
    help_text = "Runs one service in the foreground, for a container or systemd."
    group = typer.Typer(no_args_is_help=True, help=help_text)
    for name, (_, what) in _SERVICES.items():
        group.command(name, help=what)(_runner(name))
    group.command("ray-node")(ray_node)

    @group.command("models")
    def models() -> None:
        """Trains what an empty store lacks, waits until all is served, and ends."""
        after_start(load_settings())

    group.command("bucket")(bucket)
    app.add_typer(group, name="service")


def bucket() -> None:
    """Makes the bucket of the S3 store where it is missing, and ends."""
    store = load_settings().store
    if store is None:
        raise SetupError(
            "No S3 store is set: data is kept in the home.",
            fix="Set PILOTHOUSE_STORE_URL (docs/object-store.md).",
        )
    made = connect_bucket(store).create()
    CONSOLE.print(f"{store.place} {'is made' if made else 'was there'}.", highlight=False)


def ray_node(head: Head = "", address: Address = "") -> None:
    """A further node of Ray's cluster, which shares the home of the installation."""
    settings = load_settings()
    become = (settings, layout_of(settings.home), inherited_environment())
    become_ray_node(*become, head=head, address=address)


def _runner(name: str) -> Callable[[], None]:
    def run() -> None:
        settings = load_settings()
        # The one that lets people in, and the one that lets callers in.
        if name in ("panel", "ray"):
            require_safe_start(settings)
        program, _ = _SERVICES[name]
        become_service(settings, layout_of(settings.home), inherited_environment(), program)

    return run
