"""Which programs an installation is made of: what a backup has to fit."""

from __future__ import annotations

from importlib.metadata import version

from core.adapters.database_copy import known_revisions
from core.backup.deciding import Ours
from core.settings import Settings


def pilothouse_version() -> str:
    """The version of Pilothouse that is installed."""
    return version("pilothouse")


def mlflow_version() -> str:
    """The version of MLflow that is installed."""
    return version("mlflow")


def ours(settings: Settings) -> Ours:
    """What an archive has to fit here."""
    return Ours(pilothouse_version(), mlflow_version(), known_revisions(), str(settings.home))
