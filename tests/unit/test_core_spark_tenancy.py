"""Who has a warm session and when it ends, told by a clock of the test's own."""

from __future__ import annotations

import pytest

from core.adapters.spark_tenancy import (
    CANCEL_TIMEOUT_S,
    FIRST_LEASE_S,
    OWNER_LOST_S,
    Answer,
    Duty,
    Tenancy,
)

KEY, IDLE_S = "plan", 600.0


@pytest.fixture
def tenancy() -> Tenancy:
    return Tenancy(KEY, IDLE_S, now_s=0.0)


def test_one_owner_at_a_time_and_the_next_after_it(tenancy: Tenancy) -> None:
    assert tenancy.lease("a", KEY, 1.0) is Answer.GRANTED
    assert tenancy.lease("b", KEY, 2.0) is Answer.BUSY
    tenancy.release("b", 3.0)
    assert tenancy.lease("b", KEY, 3.0) is Answer.BUSY
    tenancy.release("a", 4.0)
    assert tenancy.lease("b", KEY, 5.0) is Answer.GRANTED


def test_another_plan_retires_an_idle_session_for_good(tenancy: Tenancy) -> None:
    assert tenancy.lease("a", "other", 1.0) is Answer.RETIRED
    assert tenancy.lease("a", KEY, 2.0) is Answer.RETIRED
    assert tenancy.duty(2.0) is Duty.CLOSE


def test_another_plan_does_not_take_it_from_its_owner(tenancy: Tenancy) -> None:
    tenancy.lease("a", KEY, 1.0)
    assert tenancy.lease("b", "other", 2.0) is Answer.BUSY
    assert tenancy.duty(2.0) is Duty.NOTHING


def test_an_idle_session_ends_after_its_time_and_not_before(tenancy: Tenancy) -> None:
    tenancy.lease("a", KEY, 1.0)
    tenancy.release("a", 100.0)
    assert tenancy.duty(100.0 + IDLE_S) is Duty.NOTHING
    assert tenancy.duty(100.1 + IDLE_S) is Duty.CLOSE
    assert tenancy.lease("b", KEY, 101.0 + IDLE_S) is Answer.RETIRED


def test_a_session_that_is_not_kept_waits_for_its_first_owner_alone() -> None:
    tenancy = Tenancy(KEY, 0.0, now_s=0.0)
    assert tenancy.duty(FIRST_LEASE_S) is Duty.NOTHING
    tenancy.lease("a", KEY, FIRST_LEASE_S)
    tenancy.release("a", FIRST_LEASE_S + 5.0)
    assert tenancy.duty(FIRST_LEASE_S + 5.1) is Duty.CLOSE


def test_what_an_owner_left_running_is_cancelled_before_the_next_one(tenancy: Tenancy) -> None:
    tenancy.lease("a", KEY, 1.0)
    tenancy.begin_work("a")
    tenancy.release("a", 2.0)
    assert tenancy.is_cancelled
    assert tenancy.duty(3.0) is Duty.CANCEL
    assert tenancy.lease("b", KEY, 3.0) is Answer.BUSY
    tenancy.end_work()
    assert tenancy.duty(4.0) is Duty.NOTHING
    assert not tenancy.is_cancelled
    assert tenancy.lease("b", KEY, 5.0) is Answer.GRANTED


def test_work_that_cannot_be_cancelled_takes_the_session_with_it(tenancy: Tenancy) -> None:
    tenancy.lease("a", KEY, 1.0)
    tenancy.begin_work("a")
    tenancy.release("a", 2.0)
    assert tenancy.duty(2.0 + CANCEL_TIMEOUT_S) is Duty.CANCEL
    assert tenancy.duty(2.1 + CANCEL_TIMEOUT_S) is Duty.CLOSE


def test_an_owner_that_looks_no_more_is_dead(tenancy: Tenancy) -> None:
    tenancy.lease("a", KEY, 1.0)
    tenancy.begin_work("a")
    tenancy.look("a", 10.0)
    assert tenancy.duty(10.0 + OWNER_LOST_S) is Duty.NOTHING
    assert tenancy.duty(10.1 + OWNER_LOST_S) is Duty.CANCEL
    tenancy.end_work()
    tenancy.duty(11.0 + OWNER_LOST_S)
    with pytest.raises(PermissionError):
        tenancy.look("a", 12.0 + OWNER_LOST_S)
    with pytest.raises(PermissionError):
        tenancy.begin_work("a")


def test_a_lost_session_serves_nobody(tenancy: Tenancy) -> None:
    tenancy.lose()
    assert tenancy.lease("a", KEY, 1.0) is Answer.RETIRED
    assert tenancy.duty(1.0) is Duty.CLOSE


def test_a_lost_session_stays_until_its_owner_knows(tenancy: Tenancy) -> None:
    tenancy.lease("a", KEY, 1.0)
    tenancy.begin_work("a")
    tenancy.lose()
    tenancy.look("a", 2.0)
    assert tenancy.duty(2.0) is Duty.NOTHING
    tenancy.release("a", 3.0)
    assert tenancy.duty(3.0) is Duty.CLOSE
