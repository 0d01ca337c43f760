"""The command line: every button of the panel as a command, through the same functions."""

from __future__ import annotations

import logging
import sys

import typer

from core import (
    cli_alerts,
    cli_audit,
    cli_backup,
    cli_batches,
    cli_compare,
    cli_drift,
    cli_foreground,
    cli_keys,
    cli_models,
    cli_pipeline,
    cli_promote,
    cli_retrain,
    cli_rollouts,
    cli_services,
    cli_simulate,
    cli_sweeps,
    cli_trace,
    cli_users,
)
from core.cli_output import FAILED, say_error
from core.errors import PilothouseError
from core.settings import load_settings

LOG = logging.getLogger(__name__)

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Runs, compares, promotes and serves models.",
)
cli_services.register(app, after_start=cli_models.ensure_served)
cli_models.register(app)
cli_pipeline.register(app)
cli_promote.register(app)
cli_compare.register(cli_models.runs_app)
cli_sweeps.register(app)
cli_batches.register(app)
cli_drift.register(app)
cli_alerts.register(app)
cli_audit.register(app)
cli_backup.register(app)
cli_retrain.register(app)
cli_rollouts.register(app)
cli_foreground.register(app, after_start=cli_models.ensure_served)
cli_keys.register(app)
cli_simulate.register(app)
cli_trace.register(app)
cli_users.register(app)


def main() -> None:
    """Runs a command; a failure is one sentence on the terminal and a trace in the log."""
    try:
        app()
    except PilothouseError as exc:
        say_error(exc)
        sys.exit(FAILED)
    except Exception as exc:  # noqa: BLE001 - nobody should meet a stack trace
        try:
            log = _log_trace()
        except OSError:  # somebody else's home, or one that cannot be written
            log = ""
        say_error(exc, log=log)
        sys.exit(FAILED)


def _log_trace() -> str:
    path = load_settings().home / "logs" / "command.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(filename=path, force=True, format="%(asctime)s %(levelname)s %(message)s")
    LOG.exception("a command failed: %s", sys.argv[1:])
    return str(path)
