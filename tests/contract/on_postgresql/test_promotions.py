"""Promotions, with their races."""

from tests.unit.test_core_promotions import *
