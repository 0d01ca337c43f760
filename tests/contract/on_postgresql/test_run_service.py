"""Runs as they are started, followed and cancelled."""

import pytest

from tests.unit.test_core_runs import *

pytestmark = pytest.mark.long
