"""Actions and their rows."""

import pytest

from tests.unit.test_core_audited import *

pytestmark = pytest.mark.long
