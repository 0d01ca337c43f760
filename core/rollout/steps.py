"""Whether a canary goes on, waits or goes back: what is decided on, and what is decided."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from core.rollout.notes import VersionNotes


class GuardVerdict(StrEnum):
    """What a guard says."""

    OK = "ok"
    #: The version has to go back.
    FAILED = "failed"
    #: It looks bad, and too little was seen to be sure: no next step, and no way back yet.
    UNSURE = "unsure"
    #: It has nothing to go by, which stops nobody.
    CANNOT_TELL = "cannot tell"


@dataclass(frozen=True)
class Guard:
    """One guard: what was measured, against what limit, and what follows, in a sentence."""

    name: str
    verdict: GuardVerdict
    measured: float | None
    limit: float | None
    reason: str


class Move(StrEnum):
    """What happens to a canary."""

    WAIT = "wait"
    #: The next share.
    ADVANCE = "advance"
    #: Through the last step: it is over.
    FINISH = "finish"
    ROLL_BACK = "roll back"


@dataclass(frozen=True)
class Estimates:
    """Estimated performance of both versions on what they answered in one step.

    Values are of ``metric``, ``None`` where there is none, and ``note`` then says why.
    """

    step: int
    metric: str
    new: float | None
    old: float | None
    new_rows: int
    old_rows: int
    note: str = ""


@dataclass(frozen=True)
class StepMeasures:
    """What was measured in the step that a canary is in.

    ``old_before`` is what Production has answered in all steps up to this one, for the last step,
    in which it answers nothing. ``failure`` says why replicas cannot load the new version.
    """

    new: VersionNotes
    old: VersionNotes
    old_before: VersionNotes
    estimates: Estimates | None = None
    failure: str = ""


@dataclass(frozen=True)
class StepDecision:
    """What happens now and why.

    ``seconds_left`` of the bake time and ``requests_missing`` of the minimum are 0 where nothing
    is left. ``restart_clock`` says that the step begins in the future, because a clock was put
    back: its time is to be counted from now.
    """

    move: Move
    reason: str
    guards: tuple[Guard, ...]
    seconds_left: float
    requests_missing: int
    restart_clock: bool = False
