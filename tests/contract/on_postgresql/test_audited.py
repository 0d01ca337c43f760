"""Actions and their rows."""

from tests.unit.test_core_audited import *
