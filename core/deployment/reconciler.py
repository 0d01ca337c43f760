"""Holds what replicas serve against the promotion record and repairs it."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core.adapters.mlflow_registry import ModelRegistry
from core.deployment.serving import ServingService
from core.domain import Health, ServingStatus
from core.promotion.promotions import PromotionService
from core.scoring.bundle import BundleRef

LOG = logging.getLogger(__name__)
#: A deployment gets this long to come up before it is put again.
PATIENCE_S = 60.0


@dataclass(frozen=True)
class Drift:
    """A problem whose replicas answer with something else than the record says."""

    problem: str
    recorded: int
    served: int | None


def find_drift(recorded: Mapping[str, int], status: ServingStatus) -> tuple[Drift, ...]:
    """Problems that are not served as recorded; a pure function."""
    served = {item.problem: item.version for item in status.served}
    return tuple(
        Drift(problem, version, served.get(problem))
        for problem, version in sorted(recorded.items())
        if served.get(problem) != version
    )


class Reconciler:
    """Makes Ray Serve serve what the promotion record says."""

    def __init__(
        self,
        problems: Sequence[str],
        promotions: PromotionService,
        registry: ModelRegistry,
        serving: ServingService,
    ) -> None:
        self._problems = tuple(problems)
        self._promotions = promotions
        self._registry = registry
        self._serving = serving
        self._deployed: dict[str, int] = {}
        self._deployed_at = 0.0

    def recorded(self) -> dict[str, int]:
        """Problem -> version that has to serve."""
        found = {name: self._promotions.production(name) for name in self._problems}
        return {name: entry.version for name, entry in found.items() if entry is not None}

    def repair(self) -> tuple[Drift, ...]:
        """Deploys the record where replicas differ; returns what differed."""
        recorded = self.recorded()
        status = self._serving.status()
        drift = find_drift(recorded, status)
        if drift and not self._is_under_way(recorded, status):
            LOG.info("deploying: %s", drift)
            self._serving.deploy({name: self._ref(name, v) for name, v in recorded.items()})
            self._deployed, self._deployed_at = recorded, time.monotonic()
        return drift

    def _is_under_way(self, recorded: Mapping[str, int], status: ServingStatus) -> bool:
        waited = time.monotonic() - self._deployed_at
        return (
            status.health is Health.STARTING and self._deployed == recorded and waited < PATIENCE_S
        )

    def _ref(self, problem: str, version: int) -> BundleRef:
        found = self._registry.get(problem, version)
        return BundleRef(problem=problem, version=version, url=self._registry.files_url(found))
