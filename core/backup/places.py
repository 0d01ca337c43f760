"""Which databases of an installation a backup copies, and where a restore puts them."""

from __future__ import annotations

from pathlib import Path

from core.adapters.database_copy import sqlite_file
from core.backup.contents import DATABASE, MLFLOW_DATABASE
from core.errors import SetupError
from core.settings import Settings


def databases(settings: Settings) -> dict[str, Path]:
    """Files of the databases that are copied, by their names in a home, in order.

    What the settings name is copied, and no file of the home that was in use before.

    Raises:
        SetupError: Pilothouse's database is none of SQLite.
    """
    found = {DATABASE: sqlite_file(settings.database_address)}
    if not settings.mlflow_address and not settings.given_mlflow_database:
        found[MLFLOW_DATABASE] = settings.home / MLFLOW_DATABASE
    return {name: file for name, file in found.items() if file.exists()}


def address_of_store(settings: Settings) -> str:
    """The S3 store in which data lies that is not in the home; empty where there is none."""
    return f"s3://{settings.store.path}" if settings.store is not None else ""


def require_own_database(settings: Settings) -> None:
    """Refuses to restore where the database that would be in force is not the restored one.

    Raises:
        SetupError: the settings name another database than that of the home.
    """
    if sqlite_file(settings.database_address) != settings.home / DATABASE:
        raise SetupError(
            "A backup is restored into the home, and the settings name a database outside it.",
            fix="Unset PILOTHOUSE_DATABASE_URL, restore, then move pilothouse.db to its place.",
        )
