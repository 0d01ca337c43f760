"""The table of rights: which role each action takes. Pure values and functions.

Reading takes ``viewer``. What acts by itself (the worker, a schedule, a policy) is not in the
table: it does what it is for, and approves nothing; see ``core.promotion.four_eyes``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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
        Action.SHADOW_STARTED: Role.OPERATOR,
        Action.APPROVAL_GIVEN: Role.APPROVER,
        Action.ROLLOUT_HELD: Role.APPROVER,
        Action.ROLLOUT_CONTINUED: Role.APPROVER,
        Action.ROLLOUT_STOPPED: Role.APPROVER,
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
        Action.BACKUP_MADE: Role.ADMIN,
        Action.BACKUP_RESTORED: Role.ADMIN,
    }
)
#: What somebody may do to their own account, whatever their role.
OF_ONESELF = frozenset({Action.TOKEN_RENEWED})
#: What whoever owns the files of an installation may do at its command line without a token:
#: start it with its first models, let an admin in again who has lost the token, and back it up
#: and restore it: by a schedule, and when nothing is left that could tell who somebody is.
OF_THE_HOST = frozenset(
    {
        Action.RUN_STARTED,
        Action.ADMIN_RECOVERED,
        Action.BACKUP_MADE,
        Action.BACKUP_RESTORED,
    }
)
#: And this as well while there is no admin yet.
UNTIL_AN_ADMIN_IS_THERE = frozenset(
    {
        Action.ACCOUNT_ADDED,
        Action.ROLE_CHANGED,
        Action.ACCOUNT_REMOVED,
        Action.TOKEN_ISSUED,
    }
)

#: What people do, in words, for those who ask what a role is for; every action of people is
#: in one of them, and those of one line take the same role.
IN_WORDS: Mapping[str, frozenset[Action]] = MappingProxyType(
    {
        "start and cancel runs, sweeps and checks": frozenset(
            {
                Action.RUN_STARTED,
                Action.RUN_CANCELLED,
                Action.SWEEP_STARTED,
                Action.SWEEP_CANCELLED,
                Action.CHECK_STARTED,
                Action.CHECK_CANCELLED,
            }
        ),
        "add batches and labels": frozenset({Action.BATCH_ACCEPTED, Action.LABELS_ADDED}),
        "acknowledge alerts and try their receivers": frozenset(
            {Action.ALERT_ACKNOWLEDGED, Action.TRIAL_ALERT_SENT}
        ),
        "ask for a version to be promoted": frozenset({Action.REQUEST_OPENED}),
        "let a version score live requests in the shadow": frozenset({Action.SHADOW_STARTED}),
        "approve and reject requests": frozenset({Action.APPROVAL_GIVEN, Action.REQUEST_REJECTED}),
        "hold, continue and stop rollouts": frozenset(
            {Action.ROLLOUT_HELD, Action.ROLLOUT_CONTINUED, Action.ROLLOUT_STOPPED}
        ),
        "roll back, and restore moved aliases": frozenset(
            {Action.ROLLED_BACK, Action.ALIAS_RESTORED}
        ),
        "manage accounts": UNTIL_AN_ADMIN_IS_THERE,
        "make and revoke keys of the served models": frozenset(
            {Action.KEY_MADE, Action.KEY_REVOKED}
        ),
        "set the anchor of the audit trail anew": frozenset({Action.TRAIL_ANCHORED}),
        "make backups and restore them": frozenset({Action.BACKUP_MADE, Action.BACKUP_RESTORED}),
        "renew their own token": OF_ONESELF,
    }
)


@dataclass(frozen=True)
class Standing:
    """What somebody may do as things are now."""

    actor: str
    #: As the audit trail keeps it.
    role: str
    allowed: frozenset[Action]
    #: Why not the rest, as the end of a sentence.
    why_not: str = ""

    def lacks(self, action: Action) -> str:
        """Why there is no right to an action, as one sentence; empty if there is."""
        return "" if action in self.allowed else f"{what_it_takes(action)}; {self.why_not}."


EVERY_ACTION = frozenset(Action)


def allowed_to(role: Role) -> frozenset[Action]:
    """Every action for which a role is enough."""
    return frozenset(action for action in Action if may(role, action))


def allowed_to_host(*, has_admin: bool) -> frozenset[Action]:
    """Every action of the owner of the installation's files."""
    return frozenset(action for action in Action if host_may(action, has_admin=has_admin))


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
    *others, highest = [role.value for role in Role if role.includes(least)]
    enough = f"{', '.join(others)} or {highest}" if others else highest
    return f"{named} takes the role {enough}"
