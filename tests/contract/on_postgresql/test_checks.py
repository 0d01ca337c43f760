"""Checks."""

from tests.unit.test_core_checks import TestFollow, TestRecords, world
