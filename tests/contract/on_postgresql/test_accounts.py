"""Accounts."""

from tests.unit.test_core_access import *
