"""What the audit trail keeps of an action, and how its rows are chained."""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum

#: What stands before the first row.
GENESIS = "0" * 64


class Action(StrEnum):
    """Every action that changes something."""

    RUN_STARTED = "run started"
    RUN_CANCELLED = "run cancelled"
    SWEEP_STARTED = "sweep started"
    SWEEP_CANCELLED = "sweep cancelled"
    CHECK_STARTED = "check started"
    CHECK_CANCELLED = "check cancelled"
    BATCH_ACCEPTED = "batch accepted"
    BATCH_RECOGNISED = "batch recognised"
    BATCH_REFUSED = "batch refused"
    LABELS_ADDED = "labels added"
    ALERT_ACKNOWLEDGED = "alert acknowledged"
    CANDIDATE_KEPT_OUT = "candidate kept out"
    REQUEST_OPENED = "request opened"
    REQUEST_SUPERSEDED = "request superseded"
    REQUEST_STALE = "request stale"
    APPROVAL_GIVEN = "approval given"
    DECISION_REFUSED = "decision refused"
    REQUEST_REJECTED = "request rejected"
    PROMOTED = "promoted"
    BOOTSTRAPPED = "bootstrapped"
    ROLLED_BACK = "rolled back"
    SHADOW_STARTED = "shadow started"
    ROLLOUT_STARTED = "rollout started"
    ROLLOUT_ADVANCED = "rollout advanced"
    ROLLOUT_HELD = "rollout held"
    ROLLOUT_CONTINUED = "rollout continued"
    ROLLOUT_STOPPED = "rollout stopped"
    ROLLOUT_ENDED = "rollout rolled back"
    ROLLOUT_DONE = "rollout done"
    DECISION_COMPLETED = "decision completed"
    DECISION_UNDONE = "decision undone"
    SERVING_REPAIRED = "serving repaired"
    ALIAS_MOVED = "alias moved"
    ALIAS_RESTORED = "alias restored"
    SETTINGS_CHANGED = "settings changed"
    KEY_MADE = "key made"
    KEY_REVOKED = "key revoked"
    TRAIL_ANCHORED = "trail anchored"
    TRIAL_ALERT_SENT = "trial alert sent"
    SIGNED_IN = "signed in"
    ACCOUNT_ADDED = "account added"
    ROLE_CHANGED = "role changed"
    ACCOUNT_REMOVED = "account removed"
    TOKEN_ISSUED = "token issued"
    TOKEN_RENEWED = "token renewed"
    ADMIN_RECOVERED = "admin recovered"
    BACKUP_MADE = "backup made"
    BACKUP_RESTORED = "backup restored"


class Outcome(StrEnum):
    """How an action ended."""

    DONE = "done"
    REFUSED = "refused"
    FAILED = "failed"


@dataclass(frozen=True)
class AuditEntry:
    """One action: who did what to which object, why, and how it ended."""

    at: datetime
    actor: str
    #: What the actor was allowed to be, such as ``local operator`` or ``system``.
    role: str
    #: One of ``Action``; any other text is what somebody, or another release, has written.
    action: str
    #: Kind and id of what was acted on, such as ``run 3f2a…`` or ``plums v4``.
    object: str
    #: One of ``Outcome``; any other text is what somebody has written.
    outcome: str = Outcome.DONE
    problem: str = ""
    reason: str = ""
    #: The promotion request that it belongs to.
    request_id: str = ""
    #: What else a reader should know: one sentence, and below it what only machines read.
    detail: str = ""

    @property
    def headline(self) -> str:
        """The sentence of ``detail``."""
        return self.detail.partition("\n")[0]


@dataclass(frozen=True)
class Chosen:
    """Which rows a reader wants; what is ``None`` or empty does not narrow."""

    problem: str = ""
    actor: str = ""
    action: str = ""
    outcome: str = ""
    since: datetime | None = None
    #: Rows before it, this moment itself left out.
    until: datetime | None = None


@dataclass(frozen=True)
class AuditRow:
    """An entry in its place of the chain."""

    #: 1, 2, 3, … without gaps.
    sequence: int
    entry: AuditEntry
    #: Hash of the row before, ``GENESIS`` for the first.
    previous: str
    #: Keyed hash over this row and ``previous``.
    hash: str


def row_hash(key: bytes, sequence: int, entry: AuditEntry, previous: str) -> str:
    """Returns HMAC-SHA-256 (RFC 2104) over a row and the hash of the one before, in hex."""
    values = asdict(entry) | {"at": entry.at.astimezone(UTC).isoformat(timespec="microseconds")}
    text = json.dumps([sequence, previous, values], sort_keys=True, ensure_ascii=False)
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def link(key: bytes, entry: AuditEntry, last: AuditRow | None) -> AuditRow:
    """Puts an entry behind the last row of the chain."""
    sequence = last.sequence + 1 if last else 1
    previous = last.hash if last else GENESIS
    return AuditRow(sequence, entry, previous, row_hash(key, sequence, entry, previous))
