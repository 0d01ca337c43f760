"""Batches."""

import pytest

from tests.unit.test_core_batches import *

pytestmark = pytest.mark.long
