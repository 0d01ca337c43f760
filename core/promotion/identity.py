"""Who acts, and whether people can be told apart."""

from __future__ import annotations

from typing import Protocol

from core.promotion.audit import Action

#: What acts by itself: the worker's duties, the schedule of checks, the check of what has
#: just come, and the policy that wants a retrain. None of them is a person.
WORKER, SCHEDULE, ARRIVAL, RETRAINER = "worker", "schedule", "arrival", "retraining policy"
SYSTEM_ACTORS = (WORKER, SCHEDULE, ARRIVAL, RETRAINER)
SYSTEM_ROLE, LOCAL_ROLE = "system", "local operator"


class Identities(Protocol):
    """What is known of those who act."""

    @property
    def told_apart(self) -> bool:
        """Whether two people cannot be taken for one: by accounts or by a login."""

    def role_of(self, actor: str) -> str:
        """The role under which an actor acts now, as the audit trail keeps it."""

    def lacks(self, actor: str, action: Action) -> str:
        """Why an actor has no right to an action, as one sentence; empty if they have."""

    def token_known_to(self, actor: str) -> str:
        """Who else knows the token by which an actor signs in; empty where nobody does."""


class OneLocalOperator:
    """Nothing is configured: whoever sits at this machine is the operator."""

    told_apart = False

    def role_of(self, actor: str) -> str:
        """The system's own actors are told from the person."""
        return SYSTEM_ROLE if actor in SYSTEM_ACTORS else LOCAL_ROLE

    def lacks(self, actor: str, action: Action) -> str:
        """The one operator may do everything."""
        return ""

    def token_known_to(self, actor: str) -> str:
        """There are no tokens."""
        return ""
