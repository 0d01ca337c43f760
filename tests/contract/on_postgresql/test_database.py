"""Runs, and the schema."""

from core.adapters.database import Database
from tests.unit.test_core_database import TestRuns, TestSchema, database


def test_these_tests_are_on_postgresql(database: Database) -> None:
    with database.begin() as connection:
        assert connection.dialect.name == "postgresql"
