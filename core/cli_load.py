"""How the load of the served models is printed."""

from __future__ import annotations

from collections.abc import Mapping

from core.cli_output import CONSOLE, print_table
from core.deployment.load import Traffic
from core.deployment.load_view import ServingLoad
from core.rollout.slo import Budget
from core.wording import milliseconds, per_second, share

_DECISIONS = 10
_TRAFFIC = ("problem", "requests/s", "p50 (ms)", "p95 (ms)", "p99 (ms)", "errors")


def show_load(load: ServingLoad) -> None:
    """Prints rates, latencies, replicas, what comes next and the last decisions."""
    rows = [_row(name, one) for name, one in load.problems.items()]
    if load.traffic is not None:
        rows.append(_row("all", load.traffic))
        print_table(f"Load over the last {load.traffic.seconds:.0f} s", _TRAFFIC, rows)
    replicas = [
        (one.id, one.state, one.started_at, _flying(one.in_flight)) for one in load.replicas
    ]
    print_table("Replicas", ["id", "state", "started", "in flight"], replicas)
    for said in (load.traffic.said if load.traffic else "", load.said()):
        if said:
            CONSOLE.print(said, highlight=False, markup=False)
    if load.policy is not None:
        CONSOLE.print(f"Policy: {load.policy.sentence}", highlight=False, markup=False)
    made = [(one.id, one.at, one.sentence) for one in load.decisions[:_DECISIONS]]
    print_table("Decisions on replicas", ["id", "at", "what and why"], made)


def show_budgets(budgets: Mapping[str, Budget | None]) -> None:
    """Prints how problems stand to their service level objectives."""
    rows = [
        (name, share(one.availability), share(one.within), _left(one), one.said)
        for name, one in budgets.items()
        if one is not None
    ]
    header = ("problem", "answered", "in time", "budget left", "what it says")
    print_table("Service level objectives", header, rows)


def _left(one: Budget) -> str:
    """What is left of the part of the budget that is nearer to its end."""
    return share(max(0.0, 1 - max(one.spent_errors, one.spent_slow)))


def _row(name: str, one: Traffic) -> tuple[str, ...]:
    latencies = (milliseconds(value) for value in (one.p50_ms, one.p95_ms, one.p99_ms))
    return (name, per_second(one.rate_per_s), *latencies, share(one.error_rate))


def _flying(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"
