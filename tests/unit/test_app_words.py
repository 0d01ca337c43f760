from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from app.components import words
from app.components.failures import Failure, attempt
from core.domain import Run, RunStatus
from core.errors import ConflictError, NotFoundError
from core.training.report import Estimate

NOON = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-30, "just now"),
        (2, "just now"),
        (42, "42 s ago"),
        (60, "1 min ago"),
        (3 * 3600 + 59, "3 h ago"),
        (86_400 * 9, "9 d ago"),
    ],
)
def test_age_is_told_in_the_largest_unit(seconds: int, text: str) -> None:
    assert words.ago(NOON - timedelta(seconds=seconds), NOON) == text


def test_times_are_in_utc_whatever_the_zone() -> None:
    elsewhere = datetime(2026, 1, 31, 9, 15, tzinfo=timezone(timedelta(hours=1)))
    assert words.when(elsewhere, NOON) == "2026-01-31 08:15 UTC (3 h ago)"
    assert words.clock(datetime(2026, 1, 31, 8, 15)) == "2026-01-31 08:15 UTC"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (59.4, "59 s"), (97, "1 min 37 s"), (7320, "2 h 2 min")]
)
def test_durations_have_two_units_at_most(seconds: float, text: str) -> None:
    assert words.duration(timedelta(seconds=seconds)) == text


def test_elapsed_counts_on_only_while_a_run_is_active() -> None:
    run = Run("r", "p", RunStatus.RUNNING, "2c-2g", "o", NOON - timedelta(minutes=2))
    assert words.elapsed(run, NOON) == timedelta(minutes=2)
    lost = Run("r", "p", RunStatus.FAILED, "2c-2g", "o", NOON - timedelta(minutes=2))
    assert words.elapsed(lost, NOON) == timedelta(0)


def test_numbers_keep_their_digits() -> None:
    assert words.number(0.8) == "0.800"
    assert words.number(float("nan")) == "–"
    assert words.interval(Estimate(value=0.8714, low=0.8421, high=0.8989)) == "0.871 [0.842, 0.899]"
    assert words.count(1, "run") == "1 run"
    assert words.count(20_178, "record") == "20,178 records"


def test_unknown_names_pass_through() -> None:
    assert words.family_name("svm") == "svm"
    assert words.family_name(None) == "–"
    assert words.metric_name("mean_cost") == "mean cost"


def test_attempt_returns_the_value_or_the_reason() -> None:
    assert attempt(lambda: 3) == 3

    def missing() -> int:
        raise NotFoundError("There is no such run.", fix="Pick another.")

    def busy() -> int:
        raise ConflictError("A run is active.")

    assert attempt(missing) == Failure("There is no such run.", "Pick another.")
    assert attempt(busy) == Failure("A run is active.", calm=True)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "–"),
        (0.0, "0 %"),
        (0.00001, "< 0.01 %"),
        (0.0123, "1.2 %"),
        (0.1, "10 %"),
        (0.998, "100 %"),
        (1.0, "100 %"),
        (3.1, "310 %"),
    ],
)
def test_a_share_is_said_in_percent(value: float | None, said: str) -> None:
    assert words.share(value) == said
