"""Which requests fall into a share: exactly, the same ones each time, and more as it grows."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve.split import Split

SHARES = st.floats(0.0, 1.0, allow_nan=False)
KEYS = st.binary(min_size=1, max_size=300)
ROLLOUTS = st.text(max_size=80)


@given(rollout=ROLLOUTS, share=SHARES, requests=st.integers(1, 3000))
def test_without_a_key_the_share_is_exact_at_every_length(
    rollout: str, share: float, requests: int
) -> None:
    split = Split(rollout)
    taken = sum(split.takes(share, b"") for _ in range(requests))
    # The sequence's discrepancy grows with the logarithm alone.
    assert abs(taken - share * requests) <= 1.5 + 0.5 * math.log(requests)


@given(rollout=ROLLOUTS, key=KEYS, share=SHARES, larger=SHARES)
def test_a_caller_gets_the_same_each_time_and_stays_in_as_the_share_grows(
    rollout: str, key: bytes, share: float, larger: float
) -> None:
    one, another = Split(rollout), Split(rollout)
    another.takes(0.5, b"")
    taken = one.takes(share, key)
    assert another.takes(share, key) is taken
    if taken:
        assert one.takes(max(share, larger), key)


@given(rollout=ROLLOUTS, key=KEYS)
def test_nobody_is_in_a_share_of_none_and_everybody_in_all(rollout: str, key: bytes) -> None:
    split = Split(rollout)
    assert not split.takes(0.0, key)
    assert not split.takes(0.0, b"")
    assert split.takes(1.0, key)
    assert split.takes(1.0, b"")


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_keys_spread_evenly_and_anew_in_every_rollout(share: float) -> None:
    keys = [f"caller {number}".encode() for number in range(5000)]
    one, other = Split("one"), Split("other")
    in_one = [one.takes(share, key) for key in keys]
    in_other = [other.takes(share, key) for key in keys]
    for taken in (in_one, in_other):
        # Five standard deviations of a binomial count.
        within = 5 * math.sqrt(len(keys) * share * (1 - share))
        assert abs(sum(taken) - share * len(keys)) < within
    both = sum(a and b for a, b in zip(in_one, in_other, strict=True))
    assert both < 1.3 * share * share * len(keys)
