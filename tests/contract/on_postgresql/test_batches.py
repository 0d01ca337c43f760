"""Batches."""

from tests.unit.test_core_batches import *
