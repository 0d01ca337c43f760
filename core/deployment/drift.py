"""Where replicas serve something else than what was decided; pure functions of values."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from core.domain import Promotion
from core.domain_serving import ServingStatus
from core.promotion.ports import Obstacle
from core.rollout.values import Rollout

_NOTHING_KEPT: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Drift:
    """A problem whose replicas answer with something else than the record says."""

    problem: str
    recorded: int
    #: The same version where its files are others than those that were decided on.
    served: int | None
    #: What is in the way; ``None`` where nobody has said so yet.
    obstacle: Obstacle | None = None
    #: Whether Ray Serve was told the record because of it.
    told: bool = False


@dataclass(frozen=True)
class Look:
    """What the record says and what replicas serve, seen at one moment."""

    #: Problem -> the newest entry of its record.
    record: Mapping[str, Promotion]
    status: ServingStatus
    drift: tuple[Drift, ...]
    #: Problem -> its rollout that is active.
    rollouts: Mapping[str, Rollout] = field(default_factory=dict)
    #: Problems whose replicas hold something else beside Production than their rollout says.
    beside: tuple[str, ...] = ()


def find_drift(
    recorded: Mapping[str, int],
    status: ServingStatus,
    decided: Mapping[str, str] = _NOTHING_KEPT,
) -> tuple[Drift, ...]:
    """Problems that are not served as recorded; a pure function.

    Args:
        recorded: problem -> version.
        status: what replicas serve.
        decided: problem -> SHA-256 of the bundle that was decided on, where it was kept.
    """
    served = {item.problem: item for item in status.served}
    failures = {name: Obstacle(said) for name, said in status.failures.items()}
    found = []
    for problem, version in sorted(recorded.items()):
        item = served.get(problem)
        told = item.bundle_sha256 if item else ""
        has_other_files = bool(told) and decided.get(problem, "") not in ("", told)
        if item is None or item.version != version or has_other_files:
            answers = item.version if item else None
            found.append(Drift(problem, version, answers, failures.get(problem)))
    return tuple(found)


def find_beside(
    rollouts: Mapping[str, Rollout], recorded: Collection[str], status: ServingStatus
) -> tuple[str, ...]:
    """Problems whose replicas do not hold what their rollout says; a pure function.

    Args:
        rollouts: problem -> its rollout that is active.
        recorded: problems with a version in production.
        status: what replicas serve.
    """
    wanted = {name: (one.id, one.step) for name, one in rollouts.items()}
    held = {name: (one.rollout, one.step) for name, one in status.beside.items()}
    return tuple(name for name in sorted(recorded) if wanted.get(name) != held.get(name))
