"""Keys of the served models."""

import pytest

from tests.unit.test_core_keys import *

pytestmark = pytest.mark.long
