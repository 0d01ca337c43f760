"""The audit trail while many write it."""

from tests.unit.test_core_trail import *
