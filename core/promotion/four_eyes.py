"""Four eyes: whoever brought a candidate about does not approve it. Pure functions."""

from __future__ import annotations

from dataclasses import dataclass

from core.promotion.identity import SYSTEM_ACTORS

IN_FORCE = "in force"
NOT_IN_FORCE = "not in force: one local operator"


@dataclass(frozen=True)
class Hands:
    """Who has had a hand in a request."""

    #: Who started the run of the version.
    started_by: str
    #: Who asked for the promotion; of a request that opened by itself the same.
    requested_by: str


def standing(told_apart: bool) -> str:
    """Whether the rule is in force, in the words of pages and records."""
    return IN_FORCE if told_apart else NOT_IN_FORCE


def standing_without(told_apart: bool, rule: str) -> str:
    """The same of a decision by a rule that asks for no approval, such as a rollback."""
    return f"not asked for: {rule}" if told_apart else NOT_IN_FORCE


def objection(actor: str, hands: Hands, *, told_apart: bool, token_known_to: str = "") -> str:
    """Why an actor may not approve, as one sentence; empty if nothing is against it.

    What acts by itself is no person and approves nothing. Nor does it count as one who has
    asked: a retrain that the policy started may be approved by anybody. No role is asked
    for, so none can skip the rule. Whoever has seen the actor's token when it was issued
    could be the one who acts.
    """
    if actor in SYSTEM_ACTORS:
        return f"A person has to approve, and {actor} is none."
    if not told_apart:
        return ""
    if actor == hands.started_by:
        return f"{actor} started the run of this version, so somebody else has to approve it."
    if actor == hands.requested_by:
        return f"{actor} asked for this promotion, so somebody else has to approve it."
    if token_known_to in (hands.started_by, hands.requested_by) and token_known_to:
        return (
            f"{token_known_to}, who brought this candidate about, has issued the token of "
            f"{actor} and knows it, so {actor} has to renew it first."
        )
    return ""
