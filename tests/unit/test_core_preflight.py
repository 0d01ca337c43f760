"""Whether a cluster can give what a profile asks for."""

from __future__ import annotations

import pytest

from core.errors import ResourceError
from core.params import Profile
from core.training.preflight import NodeCapacity, check_profile, is_oversubscribed

ONE = Profile(name="2c-2g", executors=1, cores=2, memory_mb=2048)
TWO = Profile(name="4c-4g", executors=2, cores=4, memory_mb=4096)


@pytest.mark.parametrize(
    ("profile", "nodes"),
    [
        (ONE, [(2, 2048)]),
        (ONE, [(1, 8192), (2, 2048)]),
        (TWO, [(4, 4096)]),
        (TWO, [(2, 2048), (2, 2048)]),
        (TWO, [(3, 9000), (2.5, 2050)]),
    ],
)
def test_a_profile_that_fits(profile: Profile, nodes: list[tuple[float, float]]) -> None:
    check_profile(profile, [NodeCapacity(*node) for node in nodes])


@pytest.mark.parametrize(
    ("profile", "nodes", "said"),
    [
        (ONE, [], "2 cores, and Ray declares 0; 2048 MiB, and Ray declares 0"),
        (ONE, [(1, 8192)], "2 cores, and Ray declares 1."),
        (ONE, [(8, 2047)], "2048 MiB, and Ray declares 2047."),
        (ONE, [(1, 1024), (1, 1024)], "1 executors of 2 cores and 2048 MiB, and only 0 fit"),
        (TWO, [(3, 4096), (1, 4096)], "2 executors of 2 cores and 2048 MiB, and only 1 fit"),
        (TWO, [(4, 2048), (0, 2048)], "only 1 fit"),
        (TWO, [(2, 2048)], "4 cores, and Ray declares 2; 4096 MiB, and Ray declares 2048"),
    ],
)
def test_what_is_missing_is_said(
    profile: Profile, nodes: list[tuple[float, float]], said: str
) -> None:
    with pytest.raises(ResourceError) as refused:
        check_profile(profile, [NodeCapacity(*node) for node in nodes])
    assert said in refused.value.message
    assert profile.name in refused.value.message
    assert "PILOTHOUSE_RAY_CPUS" in refused.value.fix


def test_oversubscribed_means_more_cores_than_there_are() -> None:
    assert is_oversubscribed(TWO, 2)
    assert not is_oversubscribed(TWO, 4)
