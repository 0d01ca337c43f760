"""Compaction that is killed anywhere, any number of times."""

import pytest

from tests.unit.test_core_inference_log import test_compaction_neither_loses_nor_doubles_rows

pytestmark = pytest.mark.long
