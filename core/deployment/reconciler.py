"""Holds what replicas serve against the promotion record and repairs it."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from core.adapters.database_decisions import DecisionRecords
from core.adapters.database_rollouts import RolloutRecords
from core.adapters.mlflow_registry import ModelRegistry
from core.deployment.drift import Drift, Look, find_beside, find_drift
from core.deployment.endpoint import Beside
from core.deployment.serving import ServingService
from core.domain import Promotion
from core.domain_serving import Health
from core.errors import NotFoundError, PilothouseError, UnavailableError
from core.kept_files import locked
from core.params_rollout import ShadowParams
from core.promotion.ports import Obstacle
from core.rollout.values import Rollout
from core.scoring.bundle import BundleRef

LOG = logging.getLogger(__name__)
#: A deployment gets this long to come up before it is put again.
PATIENCE_S = 60.0
#: Problem -> ids by which it is known whether anything was decided since.
_State = dict[str, tuple[str, ...]]


class _Refs(NamedTuple):
    """What to deploy, what of it was deleted, and whether the registry was away."""

    refs: dict[str, BundleRef]
    deleted: dict[str, Obstacle]
    is_outage: bool


class Reconciler:
    """Makes Ray Serve serve what the promotion record says.

    Decisions and the worker call it at once, in one process or in several. ``lock_file`` is
    what they take turns by.
    """

    def __init__(
        self,
        problems: Sequence[str],
        records: DecisionRecords,
        registry: ModelRegistry,
        serving: ServingService,
        lock_file: Path,
        rollouts: RolloutRecords,
        shadow: ShadowParams,
    ) -> None:
        self._problems = tuple(problems)
        self._records = records
        self._registry = registry
        self._serving = serving
        self._lock_file = lock_file
        self._rollouts = rollouts
        self._shadow = shadow
        #: The record that was put last, and when; read and written as one.
        self._deployed: tuple[_State, float] = ({}, 0.0)

    def recorded(self) -> dict[str, int]:
        """Problem -> version that has to serve."""
        return {name: entry.version for name, entry in self._record().items()}

    def _record(self) -> dict[str, Promotion]:
        found = {name: self._records.production(name) for name in self._problems}
        return {name: entry for name, entry in found.items() if entry is not None}

    def _active(self) -> dict[str, Rollout]:
        found = {name: self._rollouts.active(name) for name in self._problems}
        return {name: rollout for name, rollout in found.items() if rollout is not None}

    def look(self) -> Look:
        """Holds what replicas serve against the record, and notes what has gone live.

        Raises:
            UnavailableError: the database does not answer.
        """
        record, rollouts = self._record(), self._active()
        status = self._serving.status()
        recorded = {name: entry.version for name, entry in record.items()}
        decided = {name: entry.bundle_sha256 for name, entry in record.items()}
        drift = find_drift(recorded, status, decided)
        differing = {one.problem for one in drift}
        for problem, entry in record.items():
            if problem not in differing and entry.live_at is None:
                self._records.mark_live(entry.id, datetime.now(UTC))
        return Look(record, status, drift, rollouts, find_beside(rollouts, record, status))

    def repair(self, *, anew: bool = False) -> tuple[Drift, ...]:
        """Deploys the record where replicas differ; returns what differed.

        With ``anew`` it is deployed whatever replicas say: where nothing differs, that changes
        nothing.

        Raises:
            UnavailableError: registry or Ray Serve do not answer.
        """
        return self.mend(self.look(), anew=anew)

    def mend(self, look: Look, *, anew: bool = False) -> tuple[Drift, ...]:
        """Deploys the record where a look has found that replicas differ; returns what differed.

        A version that was deleted from the registry cannot be deployed: what answers in its
        place goes on, and the other problems are served as recorded. While the registry does
        not answer, replicas are told where the record says that the files lie: they may have
        them on disk.

        Raises:
            UnavailableError: registry or Ray Serve do not answer.
        """
        is_patient = self._was_just_deployed(look)
        # Replicas that run go on as they were; the next one that starts would have no model.
        is_blank = look.status.is_blank and bool(look.record)
        has_nothing_to_do = not look.drift and not look.beside and not is_blank
        is_starting = is_patient and look.status.health is Health.STARTING
        if not anew and (has_nothing_to_do or is_starting):
            return look.drift
        refs, deleted, is_outage = self._refs(look)
        left = [one for one in look.drift if one.problem not in deleted]
        # Replicas try again by themselves what they could not load, and say so.
        is_tried = is_patient and all(one.obstacle is not None for one in left)
        is_due = anew or is_blank or (bool(left or look.beside) and not is_tried)
        told = is_due and self._deploy(look, refs)
        found = []
        for one in look.drift:
            obstacle = deleted.get(one.problem, one.obstacle)
            if is_outage and obstacle is not None:
                obstacle = replace(obstacle, is_outage=True)
            found.append(replace(one, obstacle=obstacle, told=told))
        return tuple(found)

    def _deploy(self, look: Look, refs: Mapping[str, BundleRef]) -> bool:
        with locked(self._lock_file):
            if _state(self._record(), self._active()) != _state(look.record, look.rollouts):
                # Whoever has decided meanwhile tells Ray Serve. To tell it now what held
                # before would bring an old version back for a moment.
                return False
            LOG.info("deploying: %s %s", look.drift, look.beside)
            self._serving.deploy(refs, self._beside(look))
            self._deployed = (_state(look.record, look.rollouts), time.monotonic())
        return True

    def _beside(self, look: Look) -> dict[str, Beside]:
        """What replicas are to hold for rollouts."""
        found: dict[str, Beside] = {}
        for problem, one in look.rollouts.items():
            if problem not in look.record:
                continue
            try:
                model = self._model_beside(one, look.record)
            except PilothouseError as exc:
                # What it would go back to is gone or cannot be asked for: Production goes first.
                LOG.warning("nothing is held beside %s: %s", problem, exc)
                continue
            found[problem] = Beside(
                rollout=one.id,
                kind=one.kind.value,
                step=one.step,
                share=0.0 if _is_production(one, look.record) else one.share,
                model=model,
                queue_requests=self._shadow.queue_requests,
                examples=self._shadow.examples,
            )
        return found

    def _model_beside(self, rollout: Rollout, record: Mapping[str, Promotion]) -> BundleRef:
        problem, refer = rollout.problem, self._registry.refer
        if _is_production(rollout, record):
            # What it goes back to is at hand as long as guards may want it.
            for entry in self._records.promotions(problem):
                if entry.version == rollout.incumbent_version and entry.source:
                    return refer(problem, entry.version, entry.source, entry.bundle_sha256)
            found = self._registry.get(problem, rollout.incumbent_version)
            return refer(problem, found.version, found.source)
        return refer(problem, rollout.version, rollout.source, rollout.bundle_sha256)

    def go_live(self, promotion: Promotion, timeout_s: float) -> None:
        """Returns once every replica answers with a promotion.

        Raises:
            UnavailableError: its version cannot be loaded, or it does not serve in time.
        """
        self.repair()
        self._serving.wait_until_serving(promotion.problem, promotion.version, timeout_s)
        self._records.mark_live(promotion.id, datetime.now(UTC))

    def _was_just_deployed(self, look: Look) -> bool:
        state, at = self._deployed
        is_same = state == _state(look.record, look.rollouts)
        return is_same and time.monotonic() - at < PATIENCE_S

    def _refs(self, look: Look) -> _Refs:
        """What to deploy, what of it was deleted, and whether the registry was away."""
        served = {item.problem: item.version for item in look.status.served}
        refs: dict[str, BundleRef] = {}
        deleted: dict[str, Obstacle] = {}
        is_outage = False
        for problem, entry in look.record.items():
            try:
                refs[problem], is_known = self._ref(entry)
                is_outage |= not is_known
            except NotFoundError:
                said = f"v{entry.version} was deleted from the registry."
                deleted[problem] = Obstacle(said, deleted=True)
                if problem in served:
                    refs |= self._ref_if_any(problem, served[problem])
        return _Refs(refs, deleted, is_outage)

    def _ref_if_any(self, problem: str, version: int) -> dict[str, BundleRef]:
        for entry in self._records.promotions(problem):
            if entry.version == version:
                try:
                    return {problem: self._ref(entry)[0]}
                except NotFoundError:
                    break
        return {}

    def _ref(self, entry: Promotion) -> tuple[BundleRef, bool]:
        """Where a version lies, and whether the registry has confirmed that it is there."""
        is_known, source = True, ""
        try:
            source = self._registry.get(entry.problem, entry.version).source
        except UnavailableError:
            if not entry.source:
                raise
            is_known = False
        # The record's word counts: the registry has no login.
        source = entry.source or source
        ref = self._registry.refer(entry.problem, entry.version, source, entry.bundle_sha256)
        return ref, is_known


def _is_production(rollout: Rollout, record: Mapping[str, Promotion]) -> bool:
    """Whether the version of a rollout has become Production."""
    return record[rollout.problem].version == rollout.version


def _state(record: Mapping[str, Promotion], rollouts: Mapping[str, Rollout]) -> _State:
    """Problem -> what says what serves: the entry of the record, and the step of a rollout."""
    return {
        name: (entry.id, *((one.id, str(one.step)) if (one := rollouts.get(name)) else ()))
        for name, entry in record.items()
    }
