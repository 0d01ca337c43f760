"""Going back."""

from tests.unit.test_core_rollbacks import *
