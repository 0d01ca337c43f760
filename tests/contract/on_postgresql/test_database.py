"""Runs, and the schema."""

from tests.unit.test_core_database import TestRuns, TestSchema, database
