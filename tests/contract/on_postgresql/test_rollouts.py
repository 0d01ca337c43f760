"""Rollouts."""

import pytest

from tests.unit.test_core_rollouts import *

pytestmark = pytest.mark.long
