"""Processes that die between decision and projection."""

from tests.unit.test_promotion_killed import *
