"""The settings that say which databases an installation uses."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, Field, SecretStr

from core.errors import SetupError
from core.settings_secrets import read_secret

_POSTGRESQL = "postgresql+psycopg"
#: What an address may begin with, and how SQLAlchemy and MLflow are told.
_SPOKEN = {
    "postgresql": _POSTGRESQL,
    "postgres": _POSTGRESQL,
    _POSTGRESQL: _POSTGRESQL,
    "sqlite": "sqlite",
}


class DatabaseSettings(BaseModel):
    """Pilothouse's own database and MLflow's; part of ``core.settings.Settings``."""

    database_url: SecretStr = Field(
        default=SecretStr(""),
        description="Pilothouse's database, `postgresql://user:password@host/name`; "
        "empty means SQLite in the home. A secret.",
    )
    database_url_file: str = Field(
        default="", description="File that holds what `PILOTHOUSE_DATABASE_URL` would."
    )
    mlflow_database_url: SecretStr = Field(
        default=SecretStr(""),
        description="MLflow's database, in the same form and not the same one; "
        "empty means SQLite in the home. A secret.",
    )
    mlflow_database_url_file: str = Field(
        default="", description="File that holds what `PILOTHOUSE_MLFLOW_DATABASE_URL` would."
    )

    @property
    def given_database(self) -> str:
        """SQLAlchemy address of the database that was given; empty where none was.

        Raises:
            SetupError: it is no address of SQLite or PostgreSQL, or its file cannot be read.
        """
        given = read_secret("DATABASE_URL", self.database_url, self.database_url_file)
        return _address("DATABASE_URL", given)

    @property
    def given_mlflow_database(self) -> str:
        """SQLAlchemy address of the database that MLflow was given; empty where none was.

        Raises:
            SetupError: it is no address of SQLite or PostgreSQL, or its file cannot be read.
        """
        name = "MLFLOW_DATABASE_URL"
        given = read_secret(name, self.mlflow_database_url, self.mlflow_database_url_file)
        return _address(name, given)


def sqlite_address(file: Path) -> str:
    """SQLAlchemy address of a file of SQLite."""
    return f"sqlite:///{file}"


def _address(name: str, given: str) -> str:
    """The address for SQLAlchemy. What was given may hold a password, so it is not repeated."""
    if not given:
        return ""
    scheme, _, rest = given.partition("://")
    spoken = _SPOKEN.get(scheme.lower())
    # Services do not start in the folder that the operator stands in.
    is_relative = spoken == "sqlite" and not rest.startswith("//")
    if spoken is None or not rest or is_relative:
        raise SetupError(
            f"PILOTHOUSE_{name} is no address of a database that Pilothouse can use.",
            fix="Give postgresql://USER:PASSWORD@HOST:PORT/NAME or sqlite:////ABSOLUTE/PATH, "
            "or unset it for SQLite in the home.",
        )
    return f"{spoken}://{rest}"
