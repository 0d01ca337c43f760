"""Accounts, and what they may do."""

from tests.unit.test_core_access import TestAccounts, TestLogins, TestWhoKnowsAToken, house
