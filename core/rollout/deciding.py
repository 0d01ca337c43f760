"""Whether a canary goes on, waits or goes back: a pure function of policy, time and measurements.

Nothing is remembered between two decisions, so a worker that is started anew decides the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from math import ceil

from core.params_rollout import CanaryParams
from core.rollout.guards import judge_guards
from core.rollout.steps import Guard, GuardVerdict, Move, StepDecision, StepMeasures
from core.rollout.values import Rollout, RolloutStatus
from core.wording import count

#: From so many of a unit on, the next larger one is told.
_MOST_SECONDS, _MOST_MINUTES = 100, 120


def decide(
    params: CanaryParams, rollout: Rollout, measures: StepMeasures, now: datetime
) -> StepDecision:
    """What happens to an active canary now.

    In this order: a guard that failed takes it back, also while it is held; one that is held
    waits; a step waits for its bake time, then for its requests, then for guards that are unsure;
    else it goes on.

    Args:
        params: the policy.
        rollout: a canary that is active.
        measures: what was measured in its step.
        now: the time of the decision, with its zone. Where it lies before the step's begin, a
            clock was put back, and the step's time is to be counted from now.
    """
    guards = judge_guards(params, rollout, measures)
    left_s = _seconds_left(params, rollout, now)
    missing = max(0, params.minimum_requests - measures.new.answered)

    def made(move: Move, reason: str, *, restart_clock: bool = False) -> StepDecision:
        return StepDecision(move, reason, guards, left_s, missing, restart_clock)

    if failed := _said(guards, GuardVerdict.FAILED):
        return made(Move.ROLL_BACK, failed)
    if rollout.status is RolloutStatus.HELD:
        return made(Move.WAIT, f"Held at {_here(rollout)}: {rollout.held_because}")
    if now < rollout.step_since:
        reason = f"A clock was put back, so the step's time starts anew: {_still(rollout, left_s)}"
        return made(Move.WAIT, reason, restart_clock=True)
    if left_s > 0:
        return made(Move.WAIT, _still(rollout, left_s))
    if missing:
        answered = f"{measures.new.answered:,} of {params.minimum_requests:,} requests answered"
        return made(Move.WAIT, f"{answered}; the step waits for {missing:,} more.{_why(measures)}")
    if unsure := _said(guards, GuardVerdict.UNSURE):
        return made(Move.WAIT, unsure)
    done = f"{_here(rollout)} has passed, and no guard speaks against v{rollout.version}"
    if rollout.is_last_step:
        return made(Move.FINISH, f"{done}: the rollout is done.")
    return made(Move.ADVANCE, f"{done}: {_next(rollout)} is next.")


def _seconds_left(params: CanaryParams, rollout: Rollout, now: datetime) -> float:
    """Of the bake time; all of it where the step begins in the future."""
    passed = max(timedelta(), now - rollout.step_since)
    return max(0.0, params.bake_s - passed.total_seconds())


def _why(measures: StepMeasures) -> str:
    """What keeps a version without a request although there are some."""
    if measures.new.requests or not measures.old.requests:
        return ""
    asked = count(measures.old.requests, "request")
    return (
        f" The version before was asked {asked} meanwhile: where every caller sends a key, all of "
        "them may lie outside the share."
    )


def _said(guards: Sequence[Guard], verdict: GuardVerdict) -> str:
    return " ".join(one.reason for one in guards if one.verdict is verdict)


def _still(rollout: Rollout, left_s: float) -> str:
    then = "then the rollout is done" if rollout.is_last_step else f"then {_next(rollout)}"
    return f"{_here(rollout)} for {_more(left_s)}, {then}."


def _here(rollout: Rollout) -> str:
    return f"{100 * rollout.share:g} %"


def _next(rollout: Rollout) -> str:
    return f"{100 * rollout.shares[rollout.step + 1]:g} %"


def _more(seconds: float) -> str:
    """``45 more seconds``, ``2 more minutes``: rounded up, so that it is never too soon."""
    amount, unit = ceil(seconds), "second"
    if amount >= _MOST_SECONDS:
        amount, unit = ceil(seconds / 60), "minute"
        if amount >= _MOST_MINUTES:
            amount, unit = ceil(seconds / 3600), "hour"
    return count(amount, f"more {unit}")
