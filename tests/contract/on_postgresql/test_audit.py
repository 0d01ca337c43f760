"""Rows of the audit trail."""

from tests.unit.test_core_audit import *
