"""Rollouts as frozen values: a second version beside Production, and how far it has come."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from core.domain import Promotion


class RolloutKind(StrEnum):
    """What the second version is for."""

    #: Scores live requests too; nobody gets its answers.
    SHADOW = "shadow"
    #: Answers a share of the requests that grows step by step.
    CANARY = "canary"


class RolloutStatus(StrEnum):
    """Where a rollout stands."""

    RUNNING = "running"
    #: A person has stopped its way up; its share stays, and guards still watch.
    HELD = "held"
    #: A canary has come to 100 % and through its last step.
    DONE = "done"
    #: A person has ended it.
    STOPPED = "stopped"
    #: A guard has ended it.
    ROLLED_BACK = "rolled back"

    @property
    def is_active(self) -> bool:
        """Whether replicas hold the second version."""
        return self in (RolloutStatus.RUNNING, RolloutStatus.HELD)


@dataclass(frozen=True)
class Rollout:
    """One rollout; at most one of a problem is active."""

    id: str
    problem: str
    kind: RolloutKind
    #: The version that earns its traffic, and the run it comes from.
    version: int
    run_id: str
    #: The version that was Production when it began.
    incumbent_version: int
    status: RolloutStatus
    #: Share of requests of each step, 0 to 1; a shadow has one step.
    shares: tuple[float, ...]
    #: Index of the step in ``shares``.
    step: int
    step_since: datetime
    started_by: str
    started_at: datetime
    reason: str
    #: Where the registry kept the version's files when it began, and SHA-256 of its page of facts.
    source: str
    bundle_sha256: str
    #: Of a canary: the request whose approval it carries out, and the entry of the promotion
    #: record that is written when it comes to 100 %.
    request_id: str | None = None
    promotion: Promotion | None = None
    #: Why it is held; empty where it is not.
    held_because: str = ""
    ended_at: datetime | None = None
    ended_by: str | None = None
    end_reason: str = ""
    #: Counts its changes, so that of two at a time one is refused.
    revision: int = 0

    @property
    def share(self) -> float:
        """Share of requests that the version scores now, 0 to 1."""
        return self.shares[self.step]

    @property
    def is_last_step(self) -> bool:
        """Whether no step follows; a canary's version is Production then."""
        return self.step == len(self.shares) - 1
