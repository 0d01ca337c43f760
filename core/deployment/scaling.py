"""How many replicas Ray Serve asks for and why; pure functions of measurements and policy.

Ray Serve decides; what is here explains it by the same rule. Its default policy wants as many
replicas as the mean of requests in flight over the look-back period needs at the target of each,
rounded up, within the bounds. It acts once it has wanted more, or fewer, for the whole of a delay
(``replica_queue_length_autoscaling_policy`` in ray/serve/autoscaling_policy.py, Ray 2.60).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from core.frozen import Frozen
from core.wording import count

_NONE = "0 requests"


class ScalingPolicy(Frozen):
    """The parameters that Ray Serve was given."""

    min_replicas: int
    max_replicas: int
    target_ongoing_requests: float
    look_back_s: float
    upscale_delay_s: float
    downscale_delay_s: float

    def needed(self, in_flight: float) -> int:
        """Replicas that so many requests in flight take, whatever the bounds."""
        return math.ceil(round(in_flight / self.target_ongoing_requests, 6))

    def wanted(self, in_flight: float) -> int:
        """``needed`` within the bounds."""
        return max(self.min_replicas, min(self.max_replicas, self.needed(in_flight)))

    @property
    def sentence(self) -> str:
        """The policy in words."""
        return (
            f"{self.min_replicas} to {count(self.max_replicas, 'replica')}, each with "
            f"{self.target_ongoing_requests:g} requests in flight at most in the mean of "
            f"{self.look_back_s:g} s; more after {self.upscale_delay_s:g} s of load, fewer after "
            f"{self.downscale_delay_s:g} s without."
        )


@dataclass(frozen=True)
class Replica:
    """One replica as Ray Serve's controller sees it; ``state`` is Ray's word in small letters."""

    id: str
    state: str
    started_at: datetime


@dataclass(frozen=True)
class ReplicaSet:
    """The replicas of now, how many there should be, and by which policy."""

    target: int
    replicas: tuple[Replica, ...]
    policy: ScalingPolicy

    @property
    def running(self) -> int:
        """Replicas that take requests."""
        return sum(one.state == "running" for one in self.replicas)


@dataclass(frozen=True)
class InFlight:
    """Requests in flight over all replicas, on average over the look-back period up to a time."""

    at: datetime
    requests: float


class Cause(StrEnum):
    """Why the number of replicas was changed."""

    LOAD = "load"
    BOUNDS = "bounds"
    #: Load was measured and does not explain it, or was not measured at all.
    UNKNOWN = "unknown"


class ScalingDecision(Frozen):
    """A change of the number of replicas that Ray Serve asks for.

    ``in_flight`` is what it rests on: the most requests in flight in the time that counted, or
    ``None`` where nobody measured. ``sentence`` says it all in words.
    """

    id: str
    at: datetime
    before: int
    after: int
    cause: Cause
    in_flight: float | None
    policy: ScalingPolicy
    sentence: str


class Course(StrEnum):
    """What comes next if the load stays as it is."""

    UP = "up"
    DOWN = "down"
    STAYS = "stays"
    AT_MAXIMUM = "at maximum"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Outlook:
    """What Ray Serve will ask for next, and why.

    ``in_flight`` is ``None`` where nobody has measured; ``wait_s`` is how long the load still
    has to stay as it is for a change to be made. ``sentence`` says it all in words.
    """

    course: Course
    target: int
    wanted: int
    in_flight: float | None
    wait_s: float
    policy: ScalingPolicy
    sentence: str


def outlook(
    target: int, policy: ScalingPolicy, measured: Sequence[InFlight], now: datetime
) -> Outlook:
    """What comes next.

    Args:
        target: replicas that Ray Serve asks for now.
        policy: by which it decides.
        measured: load up to now, oldest first; none where nothing was measured lately.
        now: the time of the question.
    """
    if not measured:
        said = (
            f"Asks for {count(target, 'replica')}. How many requests are in flight is not known "
            "yet."
        )
        return Outlook(Course.UNKNOWN, target, target, None, 0.0, policy, said)
    load = measured[-1].requests
    wanted = policy.wanted(load)
    course = Course.STAYS
    if policy.needed(load) > policy.max_replicas and target == policy.max_replicas:
        course = Course.AT_MAXIMUM
    elif wanted != target:
        course = Course.UP if wanted > target else Course.DOWN
    delay_s = policy.upscale_delay_s if course is Course.UP else policy.downscale_delay_s
    since = now
    for one in reversed(measured):
        if not _leads(policy.wanted(one.requests), target, course):
            break
        since = one.at
    waited_s = (now - since).total_seconds()
    wait_s = max(0.0, delay_s - waited_s)
    said = _say_outlook(course, target, load, wait_s, policy)
    return Outlook(course, target, wanted, load, wait_s, policy, said)


def explain(
    before: int,
    after: int,
    policies: tuple[ScalingPolicy, ScalingPolicy],
    measured: Sequence[InFlight],
    at: datetime,
) -> ScalingDecision:
    """Why Ray Serve asks for another number of replicas.

    Args:
        before: what it asked for.
        after: what it asks for.
        policies: by which it decided before, and now.
        measured: load up to now, oldest first.
        at: when the change was seen.
    """
    old, policy = policies
    # Ray looks back from the time of its decision, so a load counts until it has left the period.
    span_s = policy.look_back_s + policy.upscale_delay_s
    if after < before:
        span_s = max(policy.downscale_delay_s - policy.look_back_s, policy.look_back_s)
    counted = [one.requests for one in measured if (at - one.at).total_seconds() <= span_s]
    load = max(counted, default=None)
    cause = Cause.UNKNOWN
    if (old.min_replicas, old.max_replicas) != (policy.min_replicas, policy.max_replicas):
        cause = Cause.BOUNDS
    elif load is not None and _leads(
        policy.wanted(load), before, Course.UP if after > before else Course.DOWN
    ):
        cause = Cause.LOAD
    return ScalingDecision(
        id=f"{at:%Y%m%dT%H%M%S}-{before}-{after}",
        at=at,
        before=before,
        after=after,
        cause=cause,
        in_flight=load,
        policy=policy,
        sentence=_say_decision(before, after, cause, load, policy),
    )


def flying(requests: float) -> str:
    """A number of requests as people say it: ``45 requests``, ``0.3 requests``."""
    shown = f"{requests:.0f}" if requests >= 10 else f"{requests:.1f}".removesuffix(".0")
    return f"{shown} request{'' if shown == '1' else 's'}"


def _are(load: str) -> str:
    return f"{load} {'is' if load.startswith('1 ') else 'are'}"


def _each(policy: ScalingPolicy) -> str:
    return f"a target of {policy.target_ongoing_requests:g} each"


def _leads(wanted: int, target: int, course: Course) -> bool:
    return wanted > target if course is Course.UP else wanted < target


def _say_outlook(
    course: Course, target: int, in_flight: float, wait_s: float, policy: ScalingPolicy
) -> str:
    load, each, wanted = flying(in_flight), _each(policy), policy.wanted(in_flight)
    if course is Course.UP:
        return (
            f"Will ask for {count(wanted, 'replica')} in about {wait_s:.0f} s if this goes on: "
            f"{load} in flight, against {each}."
        )
    if course is Course.DOWN:
        most = wanted * policy.target_ongoing_requests
        return (
            f"Will go down to {count(wanted, 'replica')} when no more than {most:g} requests are "
            f"in flight for another {wait_s:.0f} s; now {_are(load)}."
        )
    if course is Course.AT_MAXIMUM:
        return (
            f"Stays at {target}, the maximum, although {load} in flight would need "
            f"{policy.needed(in_flight)} at {each}."
        )
    bound = ", the minimum" if target == policy.min_replicas else ""
    return f"Stays at {target}{bound}: {load} in flight, against {each}."


def _say_decision(
    before: int, after: int, cause: Cause, in_flight: float | None, policy: ScalingPolicy
) -> str:
    start = f"Asked for {count(after, 'replica')} instead of {before}"
    if cause is Cause.BOUNDS:
        bounds = f"{policy.min_replicas} to {policy.max_replicas}"
        return f"{start} because the parameters now ask for {bounds}."
    if in_flight is None:
        return f"{start}. How many requests were in flight was not measured."
    load, each = flying(in_flight), _each(policy)
    if cause is Cause.LOAD and load == _NONE:
        return f"{start} because for {policy.downscale_delay_s:g} s no request was in flight."
    if cause is Cause.UNKNOWN:
        return f"{start}. Measured were {load} in flight, against {each}."
    is_up = after > before
    counted, measured = f"{'' if is_up else 'no more than '}{load} were in flight", ""
    if policy.wanted(in_flight) != after:
        # Ray Serve samples what is measured here without pause. Its count follows from its rule.
        ray = (after - 1 if is_up else after) * policy.target_ongoing_requests
        counted = f"Ray Serve counted {'' if is_up else 'no '}more than {ray:g} in flight"
        measured = f"; measured were {load}"
    elif bound := _say_bound(after, policy.needed(in_flight), policy):
        measured = bound
    span = "" if is_up else f"for {policy.downscale_delay_s:g} s "
    return f"{start} because {span}{counted}, against {each}{measured}."


def _say_bound(after: int, needed: int, policy: ScalingPolicy) -> str:
    if needed > after == policy.max_replicas:
        return f"; they need {needed}, and {after} is the maximum"
    if needed < after == policy.min_replicas:
        return f"; {after} is the minimum"
    return ""
