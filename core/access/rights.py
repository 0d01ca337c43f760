"""The table of rights: which role each action takes. Pure values and functions.

Reading takes ``viewer``. What acts by itself (the worker, a schedule, a policy) is not in the
table: it does what it is for, and approves nothing; see ``core.promotion.four_eyes``.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from core.access.roles import Role
from core.promotion.audit import Action

LEAST_ROLE: Mapping[Action, Role] = MappingProxyType(
    {
        Action.RUN_STARTED: Role.OPERATOR,
        Action.RUN_CANCELLED: Role.OPERATOR,
        Action.SWEEP_STARTED: Role.OPERATOR,
        Action.SWEEP_CANCELLED: Role.OPERATOR,
        Action.CHECK_STARTED: Role.OPERATOR,
        Action.CHECK_CANCELLED: Role.OPERATOR,
        Action.BATCH_ACCEPTED: Role.OPERATOR,
        Action.LABELS_ADDED: Role.OPERATOR,
        Action.ALERT_ACKNOWLEDGED: Role.OPERATOR,
        Action.TRIAL_ALERT_SENT: Role.OPERATOR,
        Action.REQUEST_OPENED: Role.OPERATOR,
        Action.APPROVAL_GIVEN: Role.APPROVER,
        Action.REQUEST_REJECTED: Role.APPROVER,
        Action.ROLLED_BACK: Role.APPROVER,
        Action.ALIAS_RESTORED: Role.APPROVER,
        Action.TRAIL_ANCHORED: Role.ADMIN,
        Action.ACCOUNT_ADDED: Role.ADMIN,
        Action.ROLE_CHANGED: Role.ADMIN,
        Action.ACCOUNT_REMOVED: Role.ADMIN,
        Action.TOKEN_ISSUED: Role.ADMIN,
        Action.KEY_MADE: Role.ADMIN,
        Action.KEY_REVOKED: Role.ADMIN,
    }
)
#: What somebody may do to their own account, whatever their role.
OF_ONESELF = frozenset({Action.TOKEN_RENEWED})
#: What whoever owns the files of an installation may do at its command line without a token:
#: start it with its first models, and let an admin in again who has lost the token.
OF_THE_HOST = frozenset({Action.RUN_STARTED, Action.ADMIN_RECOVERED})
#: And while there is no admin yet, this as well.
UNTIL_AN_ADMIN_IS_THERE = frozenset(
    {
        Action.ACCOUNT_ADDED,
        Action.ROLE_CHANGED,
        Action.ACCOUNT_REMOVED,
        Action.TOKEN_ISSUED,
    }
)


def may(role: Role, action: Action) -> bool:
    """Whether a role is enough for an action of people."""
    if action in OF_ONESELF:
        return True
    least = LEAST_ROLE.get(action)
    return least is not None and role.includes(least)


def host_may(action: Action, *, has_admin: bool) -> bool:
    """Whether the owner of the installation's files may do it without a token."""
    return action in OF_THE_HOST or (action in UNTIL_AN_ADMIN_IS_THERE and not has_admin)


def what_it_takes(action: Action) -> str:
    """Who may do it, as the beginning of a sentence."""
    named = f"This ({action.value})"
    if action in OF_ONESELF:
        return f"{named} everybody does for themselves"
    least = LEAST_ROLE.get(action)
    if least is None:
        return f"{named} is for whoever owns the files of the installation"
    enough = " or ".join(role.value for role in Role if role.includes(least))
    return f"{named} takes the role {enough}"
