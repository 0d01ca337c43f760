"""Where a boosted ensemble is cut."""

from __future__ import annotations

import pytest

from core.training.boosting import cuts_up_to


@pytest.mark.parametrize(
    ("longest", "cuts"),
    [
        (1, (1,)),
        (2, (1, 2)),
        (10, (1, 2, 5, 10)),
        (30, (1, 2, 5, 10, 20, 30)),
        (100, (1, 2, 5, 10, 20, 50, 100)),
    ],
)
def test_steps_grow_with_the_length(longest: int, cuts: tuple[int, ...]) -> None:
    assert cuts_up_to(longest) == cuts
