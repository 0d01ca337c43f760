"""The guards of a canary: what takes it back, or keeps it where it is. Pure functions.

Each holds what the new version has answered in its step against the version that was Production
before. Where that one has answered too little in the step, as in the last one where it answers
nothing, what it has answered in all steps stands in for it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from math import floor, inf, sqrt
from statistics import NormalDist

from core.deployment.load import LEAST_REQUESTS, quantile
from core.deployment.metrics import BOUNDS_S
from core.monitoring.distances import psi, psi_by_chance
from core.monitoring.histograms import bin_limit
from core.params_rollout import CanaryParams
from core.rollout.notes import VersionNotes
from core.rollout.steps import Estimates, Guard, GuardVerdict, StepMeasures
from core.rollout.values import Rollout
from core.wording import count, milliseconds, number, share

LOADS = "loads"
ERROR_RATE = "error rate"
P95_LATENCY = "p95 latency"
PREDICTIONS = "predictions"
ESTIMATED_PERFORMANCE = "estimated performance"

#: How sure one has to be that the error rate is too high, one-sided.
CONFIDENCE = 0.95
#: Bins into which predictions are put at most, as many as a check takes of a number.
MOST_BINS = 10
_P95 = 0.95
_MS = 1000.0


def judge_guards(
    params: CanaryParams, rollout: Rollout, measures: StepMeasures
) -> tuple[Guard, ...]:
    """What every guard says of the step that a canary is in, always in the same order."""
    return (
        _loads(rollout, measures.failure),
        _error_rate(params, rollout, measures),
        _p95_latency(params, rollout, measures),
        _predictions(params, rollout, measures),
        _estimated_performance(params, rollout, measures.estimates),
    )


def wilson_low(hits: int, total: int) -> float:
    """Lower bound of a share of which ``hits`` of ``total`` were seen, one-sided at ``CONFIDENCE``.

    E. B. Wilson, "Probable inference, the law of succession, and statistical inference", Journal
    of the American Statistical Association 22 (1927). ``total`` is at least 1.
    """
    z = NormalDist().inv_cdf(CONFIDENCE)
    rate = hits / total
    centre = rate + z**2 / (2 * total)
    half = z * sqrt(rate * (1 - rate) / total + (z / (2 * total)) ** 2)
    # Rounding must not leave the unit interval.
    return max(0.0, (centre - half) / (1 + z**2 / total))


def merge_bins(reference: Sequence[int], most: int) -> tuple[int, ...]:
    """Group of each bin of a histogram, so that groups have about equally many rows.

    A bin goes by the middle of its rows among all: one that holds much alone stays alone, and
    what lies on either side of it is a group of its own, so that what is new there shows.

    Args:
        reference: rows in each bin, in order; at least one row in all.
        most: groups at most, at least 2.

    Returns:
        A number from 0 to ``most`` - 1 for each bin, never falling.
    """
    total = sum(reference)
    below = itertools.accumulate(reference, initial=0)
    middles = [low + rows / 2 for low, rows in zip(below, reference, strict=False)]
    return tuple(min(most - 1, floor(most * middle / total)) for middle in middles)


def _loads(rollout: Rollout, failure: str) -> Guard:
    if failure:
        reason = f"v{rollout.version} cannot be loaded: {failure}"
        return Guard(LOADS, GuardVerdict.FAILED, None, None, reason)
    reason = f"No replica says that it cannot load v{rollout.version}."
    return Guard(LOADS, GuardVerdict.OK, None, None, reason)


def _error_rate(params: CanaryParams, rollout: Rollout, measures: StepMeasures) -> Guard:
    new, old = measures.new, _old(measures, _asked, LEAST_REQUESTS)
    asked = _asked(new)
    if not asked:
        reason = f"v{rollout.version} has not been asked for a prediction in this step."
        return Guard(ERROR_RATE, GuardVerdict.CANNOT_TELL, None, None, reason)
    rate, before = new.failed / asked, old.failed / _asked(old) if _asked(old) else 0.0
    limit = before + params.error_rate
    verdict, beyond = GuardVerdict.OK, ""
    if wilson_low(new.failed, asked) > limit:
        verdict = GuardVerdict.FAILED
    elif rate > limit:
        verdict, beyond = GuardVerdict.UNSURE, ", and so few requests may exceed it by chance"
    reason = (
        f"{share(rate)} of {asked:,} requests to v{rollout.version} failed, against "
        f"{share(before)} of {_asked(old):,} to v{rollout.incumbent_version}; "
        f"up to {share(limit)} is allowed{beyond}."
    )
    return Guard(ERROR_RATE, verdict, rate, limit, reason)


def _p95_latency(params: CanaryParams, rollout: Rollout, measures: StepMeasures) -> Guard:
    new, old = measures.new, _old(measures, _timed, LEAST_REQUESTS)
    news, olds = f"v{rollout.version}", f"v{rollout.incumbent_version}"
    new_ms, old_ms = _p95_ms(new), _p95_ms(old)
    if new_ms is None or old_ms is None:
        reason = (
            f"{count(_timed(new), 'answer')} of {news} and {_timed(old):,} of {olds}: "
            f"a 95th percentile takes {LEAST_REQUESTS} of each."
        )
        return Guard(P95_LATENCY, GuardVerdict.CANNOT_TELL, new_ms, None, reason)
    limit = max(old_ms * params.p95_factor, old_ms + params.p95_slack_ms)
    verdict, beyond = GuardVerdict.OK, ""
    if new_ms > limit and new.answered >= params.minimum_requests:
        verdict = GuardVerdict.FAILED
    elif new_ms > limit:
        verdict, beyond = GuardVerdict.UNSURE, f", and {new.answered:,} answers may mislead"
    reason = (
        f"The 95th percentile of {news} is {milliseconds(new_ms)} ms, against "
        f"{milliseconds(old_ms)} ms of {olds}; up to {milliseconds(limit)} ms is allowed{beyond}."
    )
    return Guard(P95_LATENCY, verdict, new_ms, limit, reason)


def _predictions(params: CanaryParams, rollout: Rollout, measures: StepMeasures) -> Guard:
    """The PSI of both versions' probabilities; one that chance explains takes nothing back."""
    new, old = measures.new, _old(measures, _predicted, params.minimum_rows)
    news, olds, limit = (
        f"v{rollout.version}",
        f"v{rollout.incumbent_version}",
        params.prediction_psi,
    )
    if min(_predicted(new), _predicted(old)) < params.minimum_rows:
        reason = (
            f"{count(_predicted(new), 'row')} of {news} and {_predicted(old):,} of {olds}: "
            f"predictions are compared from {params.minimum_rows:,} of each on."
        )
        return Guard(PREDICTIONS, GuardVerdict.CANNOT_TELL, None, None, reason)
    then, now = _grouped(old.probabilities, new.probabilities)
    value, by_chance = psi(then, now) or 0.0, psi_by_chance(then, now) or 0.0
    verdict, beyond = GuardVerdict.OK, ""
    if value > max(limit, by_chance):
        verdict = GuardVerdict.FAILED
    elif value > limit:
        verdict, beyond = GuardVerdict.UNSURE, f", and chance alone may bring {by_chance:.2f}"
    reason = (
        f"Predictions of {news} and {olds} differ by a PSI of {value:.2f} over "
        f"{_predicted(new):,} and {_predicted(old):,} rows; up to {limit:g} is allowed{beyond}."
    )
    return Guard(PREDICTIONS, verdict, value, limit, reason)


def _estimated_performance(
    params: CanaryParams, rollout: Rollout, estimates: Estimates | None
) -> Guard:
    if estimates is None or estimates.step != rollout.step:
        reason = "Performance has not been estimated in this step yet."
        return Guard(ESTIMATED_PERFORMANCE, GuardVerdict.CANNOT_TELL, None, None, reason)
    new, old = estimates.new, estimates.old
    if new is None or old is None:
        reason = estimates.note or "There is no estimate of both versions."
        return Guard(ESTIMATED_PERFORMANCE, GuardVerdict.CANNOT_TELL, new, None, reason)
    limit = old - params.estimated_loss
    verdict = GuardVerdict.FAILED if new < limit else GuardVerdict.OK
    reason = (
        f"The {estimates.metric} of v{rollout.version} is estimated at {number(new)}, against "
        f"{number(old)} of v{rollout.incumbent_version}; no less than {number(limit)} is allowed."
    )
    return Guard(ESTIMATED_PERFORMANCE, verdict, new, limit, reason)


def _old(measures: StepMeasures, size: Callable[[VersionNotes], int], enough: int) -> VersionNotes:
    """What the version before has answered: in the step where it is enough, else in all."""
    if size(measures.old) >= enough:
        return measures.old
    return max(measures.old, measures.old_before, key=size)


def _asked(notes: VersionNotes) -> int:
    return notes.requests


def _timed(notes: VersionNotes) -> int:
    return sum(notes.durations)


def _predicted(notes: VersionNotes) -> int:
    return sum(notes.probabilities)


def _p95_ms(notes: VersionNotes) -> float | None:
    """In milliseconds; ``None`` where there are fewer answers than ``LEAST_REQUESTS``."""
    if _timed(notes) < LEAST_REQUESTS:
        return None
    counts = itertools.accumulate(notes.durations)
    found = quantile(dict(zip((*BOUNDS_S, inf), counts, strict=False)), _P95)
    return None if found is None else found * _MS


def _grouped(old: Sequence[int], new: Sequence[int]) -> tuple[list[int], list[int]]:
    """Rows of both in the groups that ``merge_bins`` makes of the old, as many as can be filled."""
    groups = merge_bins(old, bin_limit(MOST_BINS, sum(old), sum(new)))
    then, now = [0] * MOST_BINS, [0] * MOST_BINS
    for group, old_rows, new_rows in zip(groups, old, new, strict=True):
        then[group] += old_rows
        now[group] += new_rows
    return then, now
