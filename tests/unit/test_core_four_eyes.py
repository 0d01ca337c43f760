"""Who may approve, what the registry shows, where one may go back to: pure functions."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from core.domain import Promotion, PromotionRequest, RequestStatus
from core.promotion.change import Unfinished
from core.promotion.four_eyes import Hands, objection, standing, standing_without
from core.promotion.identity import RETRAINER, SYSTEM_ACTORS
from core.promotion.ports import Obstacle
from core.promotion.repairs import may_be_undone
from core.promotion.shown import AliasDrift, alias_drift, fallbacks, last_resorts, shown, touched

NOW = datetime(2026, 1, 31, tzinfo=UTC)
PROMOTION = Promotion("p1", "plums", 1, "r", "approval", "ann", "why", NOW, live_at=NOW)
REQUEST = PromotionRequest("q1", "plums", 2, "r", RequestStatus.OPEN, "ann", NOW, 1, ())


@pytest.mark.parametrize(
    ("actor", "hands", "said"),
    [
        ("bob", Hands("ann", "ann"), ""),
        ("ann", Hands("ann", "ann"), "ann started the run"),
        ("ann", Hands("ann", "bob"), "ann started the run"),
        ("bob", Hands("ann", "bob"), "bob asked for this promotion"),
        ("ann", Hands(RETRAINER, RETRAINER), ""),
        ("bob", Hands(RETRAINER, "bob"), "bob asked for this promotion"),
    ],
)
def test_whoever_brought_a_candidate_about_does_not_approve_it(
    actor: str, hands: Hands, said: str
) -> None:
    found = objection(actor, hands, told_apart=True)
    assert found.startswith(said)
    assert bool(found) == bool(said)
    # One local operator cannot be held against themself.
    assert objection(actor, hands, told_apart=False) == ""


@pytest.mark.parametrize("actor", SYSTEM_ACTORS)
@pytest.mark.parametrize("told_apart", [True, False])
def test_what_acts_by_itself_approves_nothing(actor: str, told_apart: bool) -> None:
    assert "A person has to approve" in objection(actor, Hands("a", "b"), told_apart=told_apart)


@pytest.mark.parametrize(
    ("hands", "known_to", "said"),
    [
        (Hands("ann", "ann"), "ann", "ann, who brought this candidate about, has issued"),
        (Hands(RETRAINER, "ann"), "ann", "ann, who brought this candidate about, has issued"),
        (Hands("ann", "ann"), "eve", ""),
        (Hands("ann", "ann"), "", ""),
        (Hands("", ""), "", ""),
    ],
)
def test_a_token_known_to_whoever_brought_it_about_is_not_enough(
    hands: Hands, known_to: str, said: str
) -> None:
    found = objection("bob", hands, told_apart=True, token_known_to=known_to)
    assert found.startswith(said)
    assert bool(found) == bool(said)


def test_it_is_said_whether_four_eyes_are_in_force() -> None:
    assert standing(True) == "in force"
    assert standing(False) == "not in force: one local operator"
    assert standing_without(True, "rollback") == "not asked for: rollback"
    assert standing_without(False, "rollback") == standing(False)


def _record(*entries: tuple[str, int, str, str | None]) -> list[Promotion]:
    """Entries by id, version, rule and what they undo, oldest first; returned newest first."""
    made = [
        replace(PROMOTION, id=name, version=version, rule=rule, undoes=undoes)
        for name, version, rule, undoes in entries
    ]
    return made[::-1]


BACK = _record(
    ("a", 1, "bootstrap", None),
    ("b", 2, "approval", None),
    ("c", 3, "approval", None),
    ("d", 2, "rollback", "c"),
)


def test_one_goes_back_further_each_time() -> None:
    assert [one.version for one in fallbacks(BACK)] == [1]
    assert [one.version for one in fallbacks(BACK[1:])] == [2, 1]
    again = [replace(PROMOTION, id="e", version=3, rule="rollback", undoes="d"), *BACK]
    # v3 serves once more, and it was v2 that somebody went back from.
    assert [one.version for one in fallbacks(again)] == [1]
    assert fallbacks([]) == fallbacks(BACK[-1:]) == ()


def test_the_last_resort_is_what_a_person_has_left() -> None:
    assert [one.version for one in last_resorts(BACK)] == [3]
    undone = [replace(PROMOTION, id="e", version=1, rule="automatic rollback", undoes="d"), *BACK]
    assert [one.version for one in last_resorts(undone)] == [3]


def test_what_the_registry_shows() -> None:
    requests = [
        replace(REQUEST, id="q5", version=5),
        replace(REQUEST, id="q4", version=4, status=RequestStatus.SUPERSEDED),
        replace(REQUEST, id="q3", version=3, status=RequestStatus.APPROVED),
        replace(REQUEST, id="q2", version=2, status=RequestStatus.REJECTED),
    ]
    found = shown(BACK, requests)
    assert (found.production, found.staging) == (2, 5)
    assert found.states == {1: "archived", 2: "production", 3: "archived", 4: "superseded"} | {
        5: "staging"
    }
    # An old Production version that waits again, and one that was turned down.
    again = shown(BACK, [replace(REQUEST, version=3)])
    assert again.states[3] == "staging"
    down = shown(BACK, [replace(REQUEST, version=3, status=RequestStatus.REJECTED)])
    assert down.states[3] == "archived"
    empty = shown([], [])
    assert (empty.production, empty.staging, empty.states) == (None, None, {})


def test_only_what_a_decision_touches_is_tagged() -> None:
    left = Unfinished((BACK[0],), (replace(REQUEST, version=9),))
    assert touched(BACK, left) == (2, 3, 9)
    assert touched(BACK, Unfinished((), ())) == ()


def test_an_alias_that_was_moved() -> None:
    wanted = {"production": 2, "staging": None}
    assert alias_drift(wanted, {"production": 2, "shadow": 1}) == ()
    moved = alias_drift(wanted, {"staging": 3})
    assert moved == (AliasDrift("production", 2, None), AliasDrift("staging", None, 3))
    assert moved[0].said() == ("The alias production points at no version; the record says v2.")


@pytest.mark.parametrize(
    ("live", "rule", "deleted", "may"),
    [
        (False, "approval", False, True),
        (False, "rollback", True, True),
        (True, "approval", True, True),
        # It has served, so what is wrong may pass.
        (True, "approval", False, False),
        (False, "automatic rollback", False, False),
        (True, "automatic rollback", True, False),
    ],
)
def test_what_the_worker_may_take_back(live: bool, rule: str, deleted: bool, may: bool) -> None:
    promotion = replace(PROMOTION, rule=rule, live_at=NOW if live else None)
    assert may_be_undone(promotion, Obstacle("why", deleted)) is may
