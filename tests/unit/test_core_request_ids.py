"""Ids that tell when they were made."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.deployment.request_ids import made_at, new_request_id, read_request_id
from core.errors import InvalidInputError

MOMENT = datetime(2026, 11, 20, 12, 30, 15, 123_456, tzinfo=UTC)


def us(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


@given(st.datetimes(datetime(1970, 1, 1), datetime(9999, 1, 1)))
def test_an_id_is_a_uuid_that_tells_its_time_to_the_millisecond(moment: datetime) -> None:
    made = moment.replace(tzinfo=UTC)
    request_id = new_request_id(us(made))
    read = uuid.UUID(hex=request_id)
    assert (read.version, read.variant, read.hex) == (7, uuid.RFC_4122, request_id)
    told = made_at(request_id)
    assert told is not None
    assert timedelta() <= made - told < timedelta(milliseconds=1)


def test_ids_of_one_moment_differ_in_all_but_the_time() -> None:
    ids = [new_request_id(us(MOMENT)) for _ in range(500)]
    assert len({one[12:] for one in ids}) == 500
    # Every random bit takes both values.
    ones = [sum(int(one, 16) >> bit & 1 for one in ids) for bit in range(128)]
    assert [bit for bit in range(80) if ones[bit] in (0, 500)] == [62, 63, *range(76, 80)]


def test_several_threads_never_get_the_same_id() -> None:
    with ThreadPoolExecutor(8) as threads:
        ids = list(threads.map(lambda _: new_request_id(us(MOMENT)), range(20_000)))
    assert len(set(ids)) == len(ids)


def test_later_ids_sort_after_earlier_ones() -> None:
    ids = [new_request_id(us(MOMENT) + 1000 * step) for step in range(50)]
    assert ids == sorted(ids)


@given(st.uuids(version=4))
def test_a_random_id_tells_no_time(other: uuid.UUID) -> None:
    assert made_at(other.hex) is None


def test_an_invented_id_beyond_every_calendar_tells_no_time() -> None:
    assert made_at("f" * 12 + "7" + "f" * 3 + "8" + "f" * 15) is None


def test_an_id_may_be_typed_in_other_ways() -> None:
    request_id = new_request_id(us(MOMENT))
    assert read_request_id(f"  {uuid.UUID(hex=request_id)!s} ".upper()) == request_id


@pytest.mark.parametrize("text", ["", "latest", "0" * 31, "0" * 33, "g" * 32])
def test_what_is_no_id_is_named(text: str) -> None:
    with pytest.raises(InvalidInputError, match="not the id of an answered request") as refused:
        read_request_id(text)
    assert "32 hexadecimal digits" in refused.value.fix
