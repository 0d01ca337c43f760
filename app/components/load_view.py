"""The load of the served models on the screen: numbers of now, the last minutes, decisions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st
from streamlit.column_config import DatetimeColumn, NumberColumn, TextColumn

from app import charts
from app.components import words
from app.components.failures import Failure, attempt, show_failure
from core.deployment.load_view import ServingLoad

if TYPE_CHECKING:
    from core.bootstrap import Pilothouse
    from core.deployment.load import Traffic
    from core.deployment.scaling import ScalingDecision
    from core.problems.contract import Problem

_AT_ONCE = 5
#: Decisions that can be unfolded; `pilothouse serve status --json` has them all.
MOST_DECISIONS = 50
_STATES = {
    "running": "✓ running",
    "starting": "◌ starting",
    "updating": "↻ updating",
    "recovering": "↻ recovering",
    "stopping": "■ draining",
    "pending migration": "↻ moving",
}


def show_load(core: Pilothouse, problem: Problem, load: ServingLoad) -> None:
    """Draws how a problem is asked, how replicas follow, and why."""
    st.subheader("Load")
    found = load.problems.get(problem.name)
    _show_traffic(load, found)
    _show_scaling(load)
    _show_decisions(load)
    points = attempt(core.load.recent)
    if isinstance(points, Failure):
        show_failure(points)
    elif len(points) > 1:
        each = load.policy.target_ongoing_requests if load.policy else None
        drawings = {
            f"Requests for {problem.title} a second": charts.rate_chart(points, problem.name),
            f"Time to an answer for {problem.title}": charts.latency_chart(points, problem.name),
            "Requests in flight over all replicas": charts.load_chart(points, each),
            "Replicas over time": charts.replicas_chart(points),
        }
        columns = st.columns(2)
        for number, (text, drawing) in enumerate(drawings.items()):
            with columns[number % 2]:
                st.altair_chart(drawing, width="stretch", alt=text, key=f"load-{number}")


def _show_traffic(load: ServingLoad, found: Traffic | None) -> None:
    if load.traffic is None:
        st.info(
            "Nothing was measured in the last seconds. The worker measures every three seconds "
            "once a replica has told what it counts.",
            icon=":material/hourglass_empty:",
        )
        return
    facts = {
        "Requests/s": words.per_second(found.rate_per_s if found else 0.0),
        "p50": _latency(found.p50_ms if found else None),
        "p95": _latency(found.p95_ms if found else None),
        "p99": _latency(found.p99_ms if found else None),
        "Errors": words.share(found.error_rate if found else None),
        "Refused": words.NOTHING if found is None else f"{found.refused:,}",
    }
    helps = {
        "Errors": "Share of requests answered with 5xx",
        "Refused": "Requests answered with 4xx, which are the caller's mistakes",
        "p50": "Half of the requests were answered within this time, inside the replica",
    }
    with st.container(horizontal=True, gap="large"):
        for name, value in facts.items():
            st.metric(name, value, width="content", help=helps.get(name))
    quiet = f"No request for a prediction in the last {load.traffic.seconds:.0f} s."
    said = found.said if found else quiet
    st.caption(said or f"Requests for predictions over the last {load.traffic.seconds:.0f} s.")


def _show_scaling(load: ServingLoad) -> None:
    if load.policy is None or load.target is None:
        return
    policy = load.policy
    facts = {
        "Replicas": f"{load.running}",
        "Asked for": f"{load.target}",
        "Allowed": f"{policy.min_replicas} to {policy.max_replicas}",
        "In flight": words.NOTHING if load.in_flight is None else f"{load.in_flight:.1f}",
    }
    with st.container(horizontal=True, gap="large"):
        for name, value in facts.items():
            st.metric(name, value, width="content")
    st.markdown(words.plain(load.said()))
    st.dataframe(
        pd.DataFrame(
            [
                {
                    "Replica": one.id,
                    "State": _STATES.get(one.state, one.state),
                    "Serves": ", ".join(f"{p} v{v}" for p, v in sorted(one.versions.items())),
                    "In flight": one.in_flight,
                    "Since (UTC)": _plain_utc(one.started_at),
                }
                for one in load.replicas
            ],
            columns=["Replica", "State", "Serves", "In flight", "Since (UTC)"],
        ),
        hide_index=True,
        column_config={
            "Replica": TextColumn(pinned=True),
            "In flight": NumberColumn(
                format="%.1f",
                help="Requests in hand, waiting ones included: mean of the last "
                f"{policy.look_back_s:g} s",
            ),
            "Since (UTC)": DatetimeColumn(format="YYYY-MM-DD HH:mm:ss", timezone="UTC"),
        },
        placeholder="",
    )
    st.caption(f"Policy: {policy.sentence} HAProxy keeps no queue: what waits, waits in a replica.")


def _show_decisions(load: ServingLoad) -> None:
    st.markdown("**Decisions on replicas**")
    if not load.decisions:
        st.caption(
            "None yet. A decision is kept with its reason once Ray Serve changes the number."
        )
        return
    now = datetime.now(UTC)
    newest, older = load.decisions[:_AT_ONCE], load.decisions[_AT_ONCE:MOST_DECISIONS]
    st.markdown(_lines(newest, now))
    if older:
        with st.expander(f"Before: {words.count(len(older), 'decision')}"):
            st.markdown(_lines(older, now))


def _lines(decisions: Sequence[ScalingDecision], now: datetime) -> str:
    return "\n".join(
        f"- **{one.before} → {one.after}** · {words.utc(one.at):%Y-%m-%d %H:%M:%S} UTC "
        f"({words.ago(one.at, now)}): {words.plain(one.sentence)}"
        for one in decisions
    )


def _latency(value: float | None) -> str:
    return words.NOTHING if value is None else f"{words.milliseconds(value)} ms"


def _plain_utc(moment: datetime) -> datetime:
    return words.utc(moment).replace(tzinfo=None)
