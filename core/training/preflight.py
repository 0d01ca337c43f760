"""Can the cluster give what a profile asks for? A pure function of values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from core.errors import ResourceError
from core.params import Profile


@dataclass(frozen=True)
class NodeCapacity:
    """What Ray declares on one node."""

    cpus: float
    memory_mb: float


def check_profile(profile: Profile, nodes: Sequence[NodeCapacity]) -> None:
    """Places the profile's executors on the nodes, first fit.

    Raises:
        ResourceError: they do not fit; says what is missing and what to change.
    """
    placed = sum(_fitting(profile, node) for node in nodes)
    if placed >= profile.executors:
        return
    cpus = sum(node.cpus for node in nodes)
    memory = sum(node.memory_mb for node in nodes)
    lacks = []
    if cpus < profile.cores:
        lacks.append(f"{profile.cores} cores, and Ray declares {cpus:g}")
    if memory < profile.memory_mb:
        lacks.append(f"{profile.memory_mb} MiB, and Ray declares {memory:.0f}")
    if not lacks:
        lacks.append(
            f"{profile.executors} executors of {profile.cores_per_executor} cores and "
            f"{profile.memory_mb_per_executor} MiB, and only {placed} fit on the nodes"
        )
    raise ResourceError(
        f"Profile {profile.name} needs {'; '.join(lacks)}.",
        fix="Choose a smaller profile, or declare more CPUs with PILOTHOUSE_RAY_CPUS.",
    )


def _fitting(profile: Profile, node: NodeCapacity) -> int:
    by_cores = int(node.cpus // profile.cores_per_executor)
    by_memory = int(node.memory_mb // profile.memory_mb_per_executor)
    return min(by_cores, by_memory)


def is_oversubscribed(profile: Profile, physical_cores: int) -> bool:
    """Whether a profile asks for more cores than the machines have."""
    return profile.cores > physical_cores
