"""Addresses of databases: what is taken, what is refused, and that no password is repeated."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest

from core.adapters.database_engine import engine_of, look_at, same_place, storable
from core.errors import SetupError
from core.settings import Settings


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ("postgresql://us:pw@host:5433/name", "postgresql+psycopg://us:pw@host:5433/name"),
        (
            "postgres://us@host/name?sslmode=require",
            "postgresql+psycopg://us@host/name?sslmode=require",
        ),
        ("POSTGRESQL+psycopg://host/name", "postgresql+psycopg://host/name"),
        (" sqlite:////data/own.db\n", "sqlite:////data/own.db"),
    ],
)
def test_what_is_given_is_used(given: str, address: str) -> None:
    settings = Settings(database_url=given, mlflow_database_url=given)
    assert settings.database_address == address
    assert settings.given_mlflow_database == address


def test_without_one_it_is_a_file_in_the_home(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    assert settings.database_address == f"sqlite:///{tmp_path}/pilothouse.db"
    assert settings.given_mlflow_database == ""


def test_it_may_be_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text("postgresql://host/name\n", encoding="utf-8")
    settings = Settings(database_url_file=str(file), mlflow_database_url_file=str(tmp_path / "no"))
    assert settings.database_address == "postgresql+psycopg://host/name"
    with pytest.raises(SetupError, match="PILOTHOUSE_MLFLOW_DATABASE_URL_FILE cannot be read"):
        _ = settings.given_mlflow_database


@pytest.mark.parametrize(
    "given",
    [
        "mysql://us:S3cret@host/name",
        "postgresql+psycopg2://us:S3cret@host/name",
        "us:S3cret@host/name",
        "postgresql://",
        # Relative to what? Services do not start where the operator stands.
        "sqlite:///S3cret.db",
        "sqlite://",
    ],
)
def test_anything_else_is_refused_and_not_repeated(given: str) -> None:
    settings = Settings(database_url=given, mlflow_database_url=given)
    for name in ("database_address", "given_mlflow_database"):
        with pytest.raises(SetupError, match="no address of a database") as refused:
            getattr(settings, name)
        assert "S3cret" not in "".join(traceback.format_exception(refused.value))
        assert "postgresql://USER" in refused.value.fix


@pytest.mark.parametrize(
    "address",
    [
        "postgresql+psycopg://us:pw@host:S3cret/name",
        # The password is "S3@cret" and should have been quoted.
        "postgresql+psycopg://us:S3@S3cret@host/name",
        "mysql://us:S3cret@host/name",
        "S3cret",
    ],
)
def test_an_address_that_cannot_be_taken_apart_is_not_repeated(address: str) -> None:
    for use in (engine_of, look_at):
        with pytest.raises(SetupError, match="not understood") as refused:
            use(address)
        assert "S3cret" not in "".join(traceback.format_exception(refused.value))


def test_two_addresses_may_lead_to_the_same_tables() -> None:
    one = "postgresql+psycopg://us:pw@host/name"
    assert same_place(one, "postgresql+psycopg://other@host:5432/name")
    for other in ("", f"{one}2", f"{one}?options=-csearch_path%3Dmlflow", "sqlite:////name"):
        assert not same_place(one, other)


@pytest.mark.parametrize(
    ("text", "kept"), [("plain", "plain"), ("a\0b", "a�b"), ("\udcff", "?"), ("ä🍑", "ä🍑")]
)
def test_texts_become_what_every_database_takes(text: str, kept: str) -> None:
    assert storable(text) == kept
