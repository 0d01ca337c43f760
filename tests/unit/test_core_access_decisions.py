"""Who may decide what: a run of anna's, and everybody who comes to its request."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.access.people import HOST
from core.access.roles import Role
from core.domain import RequestStatus
from core.errors import ForbiddenError, RefusedError
from core.promotion.audit import Action, Chosen
from tests.unit.core_fakes import World, make_world

REASON = "Better in every slice."


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Something serves, and a better version waits that ann's run has brought."""
    made = make_world(tmp_path)
    accounts = made.pilothouse.accounts
    accounts.add("ann", Role.ADMIN, actor="operator")
    accounts.add("vera", Role.VIEWER, actor="ann")
    accounts.add("olaf", Role.OPERATOR, actor="ann")
    accounts.add("bert", Role.APPROVER, actor="ann")
    made.put_into_production()
    made.pilothouse.promotions.consider(made.train(0.95))
    yield made
    made.close()


@pytest.fixture
def request_id(world: World) -> str:
    (request,) = world.pilothouse.promotions.requests(open_only=True)
    return request.id


def test_the_starter_cannot_approve_whatever_the_role(world: World, request_id: str) -> None:
    with pytest.raises(RefusedError, match="ann started the run"):
        world.pilothouse.promotions.approve(request_id, reason=REASON, actor="ann")


def test_a_second_person_can_once_only_they_know_their_token(world: World, request_id: str) -> None:
    promotions = world.pilothouse.promotions
    with pytest.raises(RefusedError, match="bert has to renew it first"):
        promotions.approve(request_id, reason=REASON, actor="bert")
    world.pilothouse.accounts.issue_token("bert", actor="bert")
    done = promotions.approve(request_id, reason=REASON, actor="bert")
    assert done.request.status is RequestStatus.APPROVED
    assert done.four_eyes == "in force"


@pytest.mark.parametrize("actor", ["vera", "olaf", "nobody-we-know", HOST])
def test_who_has_no_right_decides_nothing(world: World, request_id: str, actor: str) -> None:
    promotions = world.pilothouse.promotions
    before = promotions.history("plums")
    for decide in (
        lambda: promotions.approve(request_id, reason=REASON, actor=actor),
        lambda: promotions.reject(request_id, reason=REASON, actor=actor),
        lambda: promotions.rollback("plums", reason=REASON, actor=actor),
        lambda: promotions.restore_alias("plums", actor=actor, reason=REASON),
    ):
        with pytest.raises(ForbiddenError, match="takes the role approver or admin"):
            decide()
    assert promotions.history("plums") == before
    assert promotions.get(request_id).status is RequestStatus.OPEN
    refused = world.pilothouse.audit.list(None, Chosen(actor=actor, outcome="refused"))
    assert {row.entry.action for row in refused} == {
        Action.APPROVAL_GIVEN,
        Action.REQUEST_REJECTED,
        Action.ROLLED_BACK,
        Action.ALIAS_RESTORED,
    }


def test_a_viewer_starts_and_asks_for_nothing(world: World) -> None:
    with pytest.raises(ForbiddenError):
        world.pilothouse.runs.start("plums", profile=None, overrides={}, actor="vera")
    with pytest.raises(ForbiddenError):
        world.pilothouse.promotions.request("plums", 1, actor="vera", reason=REASON)


def test_a_person_has_the_policy_asked_only_if_they_may_start_runs(world: World) -> None:
    with pytest.raises(ForbiddenError):
        world.pilothouse.runs.require_starter("vera", "plums")
    world.pilothouse.runs.require_starter("olaf", "plums")
