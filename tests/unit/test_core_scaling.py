"""Decisions on the number of replicas, in words that give their reasons."""

from __future__ import annotations

import pytest

from core.deployment.scaling import Cause, Course, InFlight, explain, outlook
from tests.unit.load_values import AT, POLICY, later, steady

BOTH = (POLICY, POLICY)


@pytest.mark.parametrize(
    ("in_flight", "needed", "wanted"),
    [(0.0, 0, 1), (0.4, 1, 1), (16.0, 1, 1), (16.4, 2, 2), (48.0, 3, 3), (90.0, 6, 3)],
)
def test_replicas_follow_from_requests_in_flight(
    in_flight: float, needed: int, wanted: int
) -> None:
    assert (POLICY.needed(in_flight), POLICY.wanted(in_flight)) == (needed, wanted)


def test_more_replicas_are_explained_by_the_load() -> None:
    made = explain(1, 3, BOTH, [*steady(2.0, 60, until=-12), *steady(47.6, 6)], AT)
    assert (made.cause, made.in_flight) == (Cause.LOAD, 47.6)
    assert made.sentence == (
        "Asked for 3 replicas instead of 1 because 48 requests were in flight, against a target "
        "of 16 each."
    )


def test_a_bound_is_named_where_it_decides() -> None:
    assert explain(1, 3, BOTH, steady(80.0, 6), AT).sentence.endswith(
        "a target of 16 each; they need 5, and 3 is the maximum."
    )
    two = POLICY.model_copy(update={"min_replicas": 2})
    made = explain(3, 2, (two, two), steady(1.5, 70), AT)
    assert made.sentence == (
        "Asked for 2 replicas instead of 3 because for 60 s no more than 1.5 requests were in "
        "flight, against a target of 16 each; 2 is the minimum."
    )


def test_no_load_at_all_is_said_as_such() -> None:
    assert explain(3, 1, BOTH, steady(0.01, 70), AT).sentence == (
        "Asked for 1 replica instead of 3 because for 60 s no request was in flight."
    )


def test_fewer_replicas_are_explained_by_the_most_that_was_in_flight_meanwhile() -> None:
    # What was before the delay counts no more.
    measured = [*steady(45.0, 20, until=-55), *steady(1.5, 49)]
    made = explain(3, 1, BOTH, measured, AT)
    assert (made.cause, made.in_flight) == (Cause.LOAD, 1.5)
    assert "for 60 s no more than 1.5 requests" in made.sentence


def test_ray_serve_counts_by_samples_and_may_differ() -> None:
    assert explain(1, 3, BOTH, steady(21.0, 6), AT).sentence == (
        "Asked for 3 replicas instead of 1 because Ray Serve counted more than 32 in flight, "
        "against a target of 16 each; measured were 21 requests."
    )
    assert explain(3, 1, BOTH, steady(20.0, 60), AT).sentence == (
        "Asked for 1 replica instead of 3 because for 60 s Ray Serve counted no more than 16 in "
        "flight, against a target of 16 each; measured were 20 requests."
    )


def test_other_bounds_are_a_reason_of_their_own() -> None:
    wider = POLICY.model_copy(update={"min_replicas": 2, "max_replicas": 4})
    made = explain(1, 2, (POLICY, wider), steady(0.0, 60), AT)
    assert made.cause is Cause.BOUNDS
    assert made.sentence.endswith("because the parameters now ask for 2 to 4.")


def test_what_cannot_be_explained_is_not() -> None:
    unmeasured = explain(1, 2, BOTH, [], AT)
    assert (unmeasured.cause, unmeasured.in_flight) == (Cause.UNKNOWN, None)
    assert unmeasured.sentence.endswith("How many requests were in flight was not measured.")
    odd = explain(1, 2, BOTH, steady(3.0, 60), AT)
    assert odd.cause is Cause.UNKNOWN
    assert "because" not in odd.sentence
    assert "Measured were 3 requests in flight, against a target of 16 each." in odd.sentence


def test_decisions_have_an_id_of_their_own() -> None:
    made = {
        explain(1, 3, BOTH, [], AT).id,
        explain(3, 1, BOTH, [], AT).id,
        explain(1, 3, BOTH, [], later(1)).id,
    }
    assert len(made) == 3


def test_the_outlook_at_the_maximum() -> None:
    narrow = POLICY.model_copy(update={"max_replicas": 2})
    found = outlook(2, narrow, steady(48.0, 30), AT)
    assert found.course is Course.AT_MAXIMUM
    assert found.sentence == (
        "Stays at 2, the maximum, although 48 requests in flight would need 3 at a target of "
        "16 each."
    )


def test_the_outlook_says_how_long_a_load_still_has_to_last() -> None:
    up = outlook(1, POLICY, [*steady(1.0, 10, until=-3), *steady(45.0, 2)], AT)
    assert (up.course, up.wanted, up.wait_s) == (Course.UP, 3, 3.0)
    assert up.sentence == (
        "Will ask for 3 replicas in about 3 s if this goes on: 45 requests in flight, against a "
        "target of 16 each."
    )
    down = outlook(3, POLICY, [*steady(45.0, 10, until=-21), *steady(5.0, 20)], AT)
    assert (down.course, down.wanted, down.wait_s) == (Course.DOWN, 1, 40.0)
    assert down.sentence == (
        "Will go down to 1 replica when no more than 16 requests are in flight for another "
        "40 s; now 5 requests are."
    )


def test_a_load_that_was_interrupted_counts_from_anew() -> None:
    measured = [*steady(5.0, 50, until=-8), InFlight(later(-7), 50.0), *steady(5.0, 6)]
    assert outlook(3, POLICY, measured, AT).wait_s == 54.0


def test_the_outlook_where_nothing_changes_or_nothing_is_known() -> None:
    stays = outlook(1, POLICY, steady(0.2, 30), AT)
    assert (stays.course, stays.sentence) == (
        Course.STAYS,
        "Stays at 1, the minimum: 0.2 requests in flight, against a target of 16 each.",
    )
    assert outlook(2, POLICY, steady(20.0, 30), AT).sentence.startswith("Stays at 2: 20 requests")
    unknown = outlook(2, POLICY, [], AT)
    assert (unknown.course, unknown.in_flight) == (Course.UNKNOWN, None)
    assert "is not known yet" in unknown.sentence


def test_the_policy_in_words() -> None:
    assert POLICY.sentence == (
        "1 to 3 replicas, each with 16 requests in flight at most in the mean of 10 s; more "
        "after 5 s of load, fewer after 60 s without."
    )
