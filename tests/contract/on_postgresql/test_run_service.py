"""Runs as they are started, followed and cancelled."""

from tests.unit.test_core_runs import *
