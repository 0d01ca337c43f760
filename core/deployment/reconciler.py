"""Holds what replicas serve against the promotion record and repairs it."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from core.adapters.database_decisions import DecisionRecords
from core.adapters.mlflow_registry import ModelRegistry
from core.deployment.serving import ServingService
from core.domain import Health, Promotion, ServingStatus
from core.errors import NotFoundError
from core.promotion.ports import Obstacle
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
    #: What is in the way; ``None`` where nobody has said so yet.
    obstacle: Obstacle | None = None


def find_drift(recorded: Mapping[str, int], status: ServingStatus) -> tuple[Drift, ...]:
    """Problems that are not served as recorded; a pure function."""
    served = {item.problem: item.version for item in status.served}
    failures = {name: Obstacle(said) for name, said in status.failures.items()}
    return tuple(
        Drift(problem, version, served.get(problem), failures.get(problem))
        for problem, version in sorted(recorded.items())
        if served.get(problem) != version
    )


class Reconciler:
    """Makes Ray Serve serve what the promotion record says."""

    def __init__(
        self,
        problems: Sequence[str],
        records: DecisionRecords,
        registry: ModelRegistry,
        serving: ServingService,
    ) -> None:
        self._problems = tuple(problems)
        self._records = records
        self._registry = registry
        self._serving = serving
        self._deployed: dict[str, int] = {}
        self._deployed_at = 0.0

    def recorded(self) -> dict[str, int]:
        """Problem -> version that has to serve."""
        return {name: entry.version for name, entry in self._record().items()}

    def _record(self) -> dict[str, Promotion]:
        found = {name: self._records.production(name) for name in self._problems}
        return {name: entry for name, entry in found.items() if entry is not None}

    def repair(self) -> tuple[Drift, ...]:
        """Deploys the record where replicas differ; returns what differed.

        A version that was deleted from the registry cannot be deployed: what answers in its
        place goes on, and the other problems are served as recorded.

        Raises:
            UnavailableError: registry or Ray Serve do not answer.
        """
        record = self._record()
        recorded = {name: entry.version for name, entry in record.items()}
        status = self._serving.status()
        self._note_live(record, status)
        drift = find_drift(recorded, status)
        if not drift or self._is_under_way(recorded, status):
            return drift
        refs, deleted = self._refs(recorded, status)
        served = {item.problem: item.version for item in status.served}
        if {name: ref.version for name, ref in refs.items()} != served:
            LOG.info("deploying: %s", drift)
            self._serving.deploy(refs)
            self._deployed, self._deployed_at = recorded, time.monotonic()
        return tuple(replace(one, obstacle=deleted.get(one.problem, one.obstacle)) for one in drift)

    def go_live(self, promotion: Promotion, timeout_s: float) -> None:
        """Returns once every replica answers with a promotion.

        Raises:
            UnavailableError: its version cannot be loaded, or it does not serve in time.
        """
        self.repair()
        self._serving.wait_until_serving(promotion.problem, promotion.version, timeout_s)
        self._records.mark_live(promotion.id, datetime.now(UTC))

    def _note_live(self, record: Mapping[str, Promotion], status: ServingStatus) -> None:
        for item in status.served:
            entry = record.get(item.problem)
            if entry is not None and entry.version == item.version and entry.live_at is None:
                self._records.mark_live(entry.id, datetime.now(UTC))

    def _is_under_way(self, recorded: Mapping[str, int], status: ServingStatus) -> bool:
        waited = time.monotonic() - self._deployed_at
        return (
            status.health is Health.STARTING and self._deployed == recorded and waited < PATIENCE_S
        )

    def _refs(
        self, recorded: Mapping[str, int], status: ServingStatus
    ) -> tuple[dict[str, BundleRef], dict[str, Obstacle]]:
        """What to deploy, and what of it was deleted."""
        served = {item.problem: item.version for item in status.served}
        refs: dict[str, BundleRef] = {}
        deleted: dict[str, Obstacle] = {}
        for problem, version in recorded.items():
            try:
                refs[problem] = self._ref(problem, version)
            except NotFoundError:
                said = f"v{version} was deleted from the registry."
                deleted[problem] = Obstacle(said, deleted=True)
                if problem in served:
                    refs |= self._ref_if_any(problem, served[problem])
        return refs, deleted

    def _ref_if_any(self, problem: str, version: int) -> dict[str, BundleRef]:
        try:
            return {problem: self._ref(problem, version)}
        except NotFoundError:
            return {}

    def _ref(self, problem: str, version: int) -> BundleRef:
        found = self._registry.get(problem, version)
        return BundleRef(problem=problem, version=version, url=self._registry.files_url(found))
