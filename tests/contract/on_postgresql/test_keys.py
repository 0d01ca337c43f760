"""Keys of the served models."""

from tests.unit.test_core_keys import *
