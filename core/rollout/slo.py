"""How much of a service level objective's error budget is spent; a pure function of counts.

An objective allows what it does not ask for: of availability 99.9 % that one request in a
thousand fails, of a 95th percentile that 5 % of the answers take longer. That is the error budget
of a window; what failed and what was slow spends it. See "The Site Reliability Workbook" (Beyer,
Murphy, Rensin, Kawahara, Thorne; O'Reilly 2018), chapter 2, "Implementing SLOs":
https://sre.google/workbook/implementing-slos/
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from core.params_rollout import SloParams
from core.wording import count, milliseconds, share

#: Share of the answers that a 95th percentile lets be slower.
SLOW_ALLOWED = 0.05
#: Below so many requests no budget is spent: with 99 %, one failure of ten would spend it.
LEAST_REQUESTS = 100
#: A share of a budget this close to all of it is all of it, whatever rounding made of it.
_ROUNDING = 1e-9
_HOUR = timedelta(hours=1)


class Counted(NamedTuple):
    """Requests for predictions: all, those answered with 5xx, and those above ``p95_ms``.

    ``slow`` is not whole, because it is interpolated within a bucket of a histogram.
    """

    requests: int = 0
    errors: int = 0
    slow: float = 0.0

    def plus(self, other: Counted) -> Counted:
        """Both together."""
        return Counted(
            self.requests + other.requests, self.errors + other.errors, self.slow + other.slow
        )


@dataclass(frozen=True)
class Budget:
    """How a problem stands to its objective over the window.

    ``availability`` is the share of requests that were answered, ``within`` the share of them
    that took no longer than ``p95_ms``; both ``None`` without requests. ``spent_errors`` and
    ``spent_slow`` are shares of the error budget, 1 for all of it and more where it was exceeded.
    ``is_spent`` says that nothing of one of them is left, ``said`` what of all this matters.
    """

    problem: str
    objective: SloParams
    requests: int
    errors: int
    slow: float
    availability: float | None
    within: float | None
    spent_errors: float
    spent_slow: float
    is_spent: bool
    said: str


def budget(problem: str, objective: SloParams, counted: Counted) -> Budget:
    """The budget of one problem.

    Args:
        problem: its name.
        objective: what it promises.
        counted: of the objective's window; see ``within_window``.
    """
    requests, errors, slow = counted
    allowed = 1 - objective.availability
    spent_errors = errors / (allowed * requests) if requests else 0.0
    spent_slow = slow / (SLOW_ALLOWED * requests) if requests else 0.0
    is_judged = requests >= LEAST_REQUESTS
    return Budget(
        problem=problem,
        objective=objective,
        requests=requests,
        errors=errors,
        slow=slow,
        availability=1 - errors / requests if requests else None,
        within=1 - slow / requests if requests else None,
        spent_errors=spent_errors,
        spent_slow=spent_slow,
        is_spent=is_judged and max(spent_errors, spent_slow) >= 1 - _ROUNDING,
        said=_said(objective, counted, spent_errors, spent_slow),
    )


def within_window(
    hours: Mapping[datetime, Counted], now: datetime, window_days: int
) -> Iterable[Counted]:
    """The counts of hours of which some part lies in the days up to ``now``.

    ``hours`` has the counts by the hour's begin.
    """
    since = now - timedelta(days=window_days)
    return (counted for begin, counted in hours.items() if since < begin + _HOUR and begin <= now)


def _said(objective: SloParams, counted: Counted, spent_errors: float, spent_slow: float) -> str:
    requests, errors, slow = counted
    days = f"the last {count(objective.window_days, 'day')}"
    if not requests:
        return f"No request for a prediction was counted in {days}."
    if requests < LEAST_REQUESTS:
        asked = count(requests, "request")
        return f"{asked} in {days}: too few to spend the error budget, which takes 100."
    of_all = f"{share(errors / requests)} of {count(requests, 'request')} failed"
    allowed = f"{share(1 - objective.availability)} may"
    in_time = f"{share(slow / requests)} took longer than {milliseconds(objective.p95_ms)} ms"
    spent = [
        f"{what}, {may}"
        for what, may, part in (
            (of_all, allowed, spent_errors),
            (in_time, f"{share(SLOW_ALLOWED)} may", spent_slow),
        )
        if part >= 1 - _ROUNDING
    ]
    if spent:
        return f"The error budget of {days} is spent: {'; '.join(spent)}."
    return (
        f"Of the error budget of {days}, {share(spent_errors)} is spent by failed requests and "
        f"{share(spent_slow)} by slow ones ({count(requests, 'request')})."
    )
