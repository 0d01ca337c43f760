"""Cron expressions: what is due, and that one time is due once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.monitoring.schedule import due, require_cron

DAILY = "0 6 * * *"


def _at(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-02-{text}").replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("last", "now", "expected"),
    [
        ("10T06:00:02", "11T05:59:59", None),
        ("10T06:00:02", "11T06:00:00", "11T06:00:00"),
        ("10T06:00:02", "11T06:00:00.500000", "11T06:00:00"),
        ("10T06:00:02", "11T06:00:40", "11T06:00:00"),
        ("10T06:00:02", "11T09:30:00", "11T06:00:00"),
        ("11T06:00:02", "11T09:30:00", None),
        ("11T06:00:00", "11T06:00:30", None),
        # Three days without a worker: one check, not three.
        ("08T06:00:02", "11T09:30:00", "11T06:00:00"),
        # A version that went live after today's time waits for tomorrow's.
        ("11T07:00:00", "11T09:30:00", None),
    ],
)
def test_what_is_due(last: str, now: str, expected: str | None) -> None:
    assert due(DAILY, _at(last), _at(now)) == (_at(expected) if expected else None)


@given(
    st.sampled_from([DAILY, "*/5 * * * *", "30 2 1 * *", "0 0 * * 1", "15,45 8-18 * * 1-5"]),
    st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)),
    st.lists(st.integers(1, 90_000), min_size=1, max_size=30),
)
def test_a_time_is_served_once_however_often_it_is_asked(
    expression: str, start: datetime, steps_s: list[int]
) -> None:
    last, now, served = start, start, list[datetime]()
    for step in steps_s:
        now += timedelta(seconds=step)
        time = due(expression, last, now)
        if time is not None:
            served.append(time)
            last = now
            assert due(expression, last, now) is None
    assert len(served) == len(set(served))
    assert all(earlier < later for earlier, later in pairwise(served))


@pytest.mark.parametrize("text", ["", "daily", "0 6 * *", "0 25 * * *", "0 6 * * * *", "@daily"])
def test_what_is_no_expression_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="five fields"):
        require_cron(text)
