"""Processes that die between decision and projection."""

import pytest

from tests.unit.test_promotion_killed import *

pytestmark = pytest.mark.long
