"""Tests of tests/unit that write to the database, once more on PostgreSQL."""
