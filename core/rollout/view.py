"""What is shown of a rollout: where it stands, what was measured, and what follows."""

from __future__ import annotations

from dataclasses import dataclass

from core.rollout.notes import RolloutNotes
from core.rollout.steps import Estimates, StepDecision
from core.rollout.values import Rollout


@dataclass(frozen=True)
class RolloutView:
    """One rollout, seen at one moment."""

    rollout: Rollout
    notes: RolloutNotes
    #: Of a canary that is active: whether it goes on, and why.
    decision: StepDecision | None = None
    #: Of a canary, the last estimate that was made in its step.
    estimates: Estimates | None = None
