"""Rollouts."""

from tests.unit.test_core_rollouts import *
