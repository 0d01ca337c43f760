"""Which earlier checks have looked at something else."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from core.monitoring.history import LookedAt
from tests.unit.alert_values import NOW

DAY = timedelta(hours=24)


def window(end: datetime, length: timedelta = DAY) -> LookedAt:
    return LookedAt(None, (end - length, end))


@pytest.mark.parametrize(
    ("earlier", "later", "same"),
    [
        (LookedAt("b1", None), LookedAt("b1", None), True),
        (LookedAt("b1", None), LookedAt("b2", None), False),
        (LookedAt("b1", None), window(NOW), False),
        (window(NOW), LookedAt("b1", None), False),
        # The same window once more, at once or an hour later.
        (window(NOW), window(NOW), True),
        (window(NOW), window(NOW + timedelta(hours=1)), True),
        # Those of neighbouring days touch, or overlap by what a schedule was late.
        (window(NOW), window(NOW + DAY), False),
        (window(NOW + timedelta(minutes=5)), window(NOW + DAY), False),
        (window(NOW), window(NOW + DAY / 2), False),
        (window(NOW), LookedAt(None, None), False),
        (LookedAt(None, (None, None)), window(NOW), False),
    ],
)
def test_most_of_the_same_rows_is_the_same(earlier: LookedAt, later: LookedAt, same: bool) -> None:
    assert earlier.is_of_rows_of(later) is same
