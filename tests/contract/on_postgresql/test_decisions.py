"""Promotion requests, approvals and the promotion record."""

from tests.unit.test_core_decision_records import *
