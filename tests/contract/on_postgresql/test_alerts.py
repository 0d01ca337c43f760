"""Alerts and their deliveries."""

from tests.unit.test_core_alerts import TestAcknowledge, TestLife, TestOutbox, alerts, logged
