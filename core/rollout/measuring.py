"""What was measured of a canary's step, from the notes of replicas."""

from __future__ import annotations

from collections.abc import Iterable

from core.rollout.notes import RolloutNotes, VersionNotes, add_up
from core.rollout.steps import Estimates, StepMeasures
from core.rollout.values import Rollout


def measures_of(rollout: Rollout, notes: RolloutNotes, estimates: Estimates | None) -> StepMeasures:
    """What the decision on a canary rests on; a pure function.

    Args:
        rollout: a canary.
        notes: what replicas have noted of it.
        estimates: the last that were made; those of another step do not count.
    """
    old = rollout.incumbent_version
    before = _sum(notes.of(step, old) for step in range(rollout.step + 1))
    # In the last step it is Production, and what replicas hold beside it is the one before.
    failure = "" if rollout.is_last_step else notes.failure
    return StepMeasures(
        new=notes.of(rollout.step, rollout.version),
        old=notes.of(rollout.step, old),
        old_before=before,
        estimates=estimates if estimates and estimates.step == rollout.step else None,
        failure=failure,
    )


def _sum(found: Iterable[VersionNotes]) -> VersionNotes:
    notes = (RolloutNotes(steps={0: {0: one}}) for one in found)
    return add_up(notes, 0).of(0, 0)
