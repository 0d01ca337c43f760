"""What a replay comes to."""

from __future__ import annotations

import numpy as np
import pytest

from core.deployment.replay import TOLERANCE, Probabilities, Replay, compare
from tests.unit.core_fakes import PROBLEM, facts_of

LOGGED = np.array([0.2, 0.5, 0.9])


def replay(replayed: Probabilities, shown: slice = slice(None)) -> Replay:
    return compare(LOGGED, replayed, facts_of("run"), PROBLEM.contract.label, shown)


def test_the_same_bits_are_the_same() -> None:
    found = replay(LOGGED.copy())
    assert (found.same, found.greatest_difference, found.changed_labels) == (True, 0.0, 0)
    assert found.summary.startswith("The same: 3 records")
    assert [row.logged_label for row in found.rows] == ["sour", "sweet", "sweet"]
    assert [row.replayed_label for row in found.rows] == ["sour", "sweet", "sweet"]


@pytest.mark.parametrize(("off", "same"), [(0.9 * TOLERANCE, True), (1.1 * TOLERANCE, False)])
def test_round_off_is_the_same_and_more_is_not(off: float, same: bool) -> None:
    found = replay(LOGGED + np.array([0.0, 0.0, off]))
    assert found.same is same
    assert found.greatest_at == 2
    assert found.greatest_difference == pytest.approx(off)
    assert found.rows[2].difference == pytest.approx(off)
    assert ("above the round-off" in found.summary) is not same


def test_another_label_is_not_the_same_however_near() -> None:
    found = replay(LOGGED - np.array([0.0, 1e-9, 0.0]))
    assert (found.same, found.changed_labels) == (False, 1)
    assert (found.rows[1].logged_label, found.rows[1].replayed_label) == ("sweet", "sour")
    assert "1 record with another label" in found.summary
    assert "above" not in found.summary


def test_what_is_not_a_number_differs() -> None:
    found = replay(np.array([0.2, np.nan, 0.9]))
    assert (found.same, found.greatest_difference, found.greatest_at) == (False, 1.0, 1)


def test_all_records_count_and_a_page_is_shown() -> None:
    found = replay(LOGGED + np.array([0.3, 0.0, 0.0]), slice(1, 2))
    assert [row.index for row in found.rows] == [1]
    assert (found.records, found.greatest_at, found.same) == (3, 0, False)


@pytest.mark.parametrize("replayed", [np.array([]), np.array([0.2])])
def test_another_number_of_records_is_a_fault(replayed: Probabilities) -> None:
    with pytest.raises(ValueError, match="cannot compare"):
        replay(replayed)
