"""Measurements of served models for tests, as replicas tell them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from core.deployment.load import Traffic
from core.deployment.load_history import LoadPoint
from core.deployment.metrics import join
from core.deployment.scaling import InFlight, Replica, ReplicaSet, ScalingPolicy
from serve.counts import Counts
from serve.store import Snapshot

AT = datetime(2026, 1, 31, 8, 15, tzinfo=UTC)
POLICY = ScalingPolicy(
    min_replicas=1,
    max_replicas=3,
    target_ongoing_requests=16,
    look_back_s=10,
    upscale_delay_s=5,
    downscale_delay_s=60,
)


def later(seconds: float) -> datetime:
    return AT + timedelta(seconds=seconds)


def told(*counts: Counts) -> str:
    """What a replica answers at ``/metrics``."""
    return join(one.text(Snapshot()) for one in counts)


def steady(requests: float, seconds: int, until: float = 0.0) -> list[InFlight]:
    """The same load, measured every second for so long."""
    return [InFlight(later(until - back), requests) for back in range(seconds, -1, -1)]


def replica_set(
    target: int = 1, states: Sequence[str] = ("running",), policy: ScalingPolicy = POLICY
) -> ReplicaSet:
    replicas = tuple(Replica(f"r{n}", state, AT) for n, state in enumerate(states, start=1))
    return ReplicaSet(target, replicas, policy)


def make_traffic(requests: int = 1200, **changed: object) -> Traffic:
    known = {
        "seconds": 10.0,
        "requests": requests,
        "refused": 3,
        "errors": 0,
        "rate_per_s": requests / 10.0,
        "error_rate": 0.0,
        "p50_ms": 1.2,
        "p95_ms": 4.5,
        "p99_ms": 9.25,
    }
    return Traffic.model_validate({**known, **changed})


def make_point(
    at: datetime, load: float = 20.0, requests: int = 1200, **changed: object
) -> LoadPoint:
    traffic = make_traffic(requests)
    known = {
        "at": at,
        "total": traffic,
        "problems": {"titanic": traffic},
        "in_flight": {"r1": load},
        "versions": {"r1": {"titanic": 4}},
        "running": 1,
        "target": 1,
    }
    return LoadPoint.model_validate({**known, **changed})
