"""Carries decisions out: the record first, then registry and replicas follow.

The database decides. Alias, tags and deployment are its projections, and may be made again
any number of times.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from core.adapters.database_decisions import DecisionRecords
from core.adapters.database_rollouts import RolloutRecords
from core.adapters.mlflow_registry import PRODUCTION, SHADOW, STAGING, ModelRegistry
from core.errors import NotFoundError, PilothouseError
from core.promotion.audit import AuditEntry
from core.promotion.change import Change, Unfinished
from core.promotion.ports import Deployment
from core.promotion.shown import AliasDrift, Shown, alias_drift, shown, touched
from core.promotion.turn import Turn

LOG = logging.getLogger(__name__)


class Carrier:
    """The way of a decision from the database to the replicas."""

    def __init__(
        self,
        records: DecisionRecords,
        registry: ModelRegistry,
        deployment: Deployment,
        turn: Turn,
        rollouts: RolloutRecords,
    ) -> None:
        self._records = records
        self._registry = registry
        self._deployment = deployment
        self._turn = turn
        self._rollouts = rollouts

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Holds the turn from looking at what there is to the end of a decision.

        Raises:
            ConflictError: somebody else holds it for too long.
        """
        with self._turn.taken():
            yield

    def decide(self, change: Change) -> None:
        """Writes a decision and carries it out; to be called while holding the turn.

        Once it is written it stands: what registry or replicas do not take now, the worker
        tells them later.

        Raises:
            ConflictError: somebody else was faster; nothing is written.
            UnavailableError: the database does not answer; nothing is written.
        """
        self._records.decide(change)
        left = self._records.unfinished().of(change.problem)
        if not left.problems:
            # The first of two approvals changes nothing that is shown. To show it all the same
            # and die over it would leave an alias that nobody puts right.
            return
        try:
            self._show(change.problem, left)
        except PilothouseError as exc:
            LOG.warning("a decision on %s is carried out later: %s", change.problem, exc)
            return
        self._records.finish(left)

    def finish(self, completed: Sequence[AuditEntry], problem: str, left: Unfinished) -> None:
        """Carries out what others have left undone; to be called while holding the turn.

        Args:
            completed: rows of the audit trail that tell of it.
            problem: whose decisions they are.
            left: the decisions.

        Raises:
            PilothouseError: registry or replicas do not take it.
        """
        self._show(problem, left)
        self._records.finish(left, completed)

    @contextmanager
    def free_turn(self) -> Iterator[bool]:
        """Holds the turn if nobody does, and says whether it does."""
        with self._turn.taken_if_free() as mine:
            yield mine

    def alias_drift(self, problem: str) -> tuple[AliasDrift, ...]:
        """Aliases that do not show the record, which they do once everything is carried out.

        Raises:
            UnavailableError: the registry does not answer.
        """
        wanted = self._shown(problem)
        found = self._registry.aliases(problem)
        aliases = {
            PRODUCTION: wanted.production,
            STAGING: wanted.staging,
            SHADOW: wanted.shadow,
        }
        return alias_drift(aliases, found)

    def _shown(self, problem: str) -> Shown:
        records = self._records
        active = self._rollouts.active(problem)
        return shown(records.promotions(problem), records.requests(problem), active)

    def _show(self, problem: str, left: Unfinished) -> None:
        wanted = self._shown(problem)
        if left.rollouts:
            # First, because a canary that goes back must not wait for the registry. And whatever
            # replicas say now: while they take the step before, they may say nothing of it.
            self._deployment.repair(anew=True)
        self._show_alias(problem, STAGING, wanted.staging)
        if left.rollouts:
            self._show_alias(problem, SHADOW, wanted.shadow)
        for version in touched(self._records.promotions(problem), left):
            tags = {"promotion_state": wanted.states[version]}
            if version in wanted.gates:
                tags["gates"] = wanted.gates[version]
            try:
                self._registry.tag(problem, version, tags)
            except NotFoundError:
                LOG.warning("%s v%d was deleted from the registry", problem, version)
        if wanted.production is not None and left.promotions:
            # Last, because a version that was deleted stops here.
            self._registry.set_alias(problem, PRODUCTION, wanted.production)
            self._deployment.repair()

    def _show_alias(self, problem: str, alias: str, version: int | None) -> None:
        try:
            if version is not None:
                self._registry.set_alias(problem, alias, version)
            else:
                self._registry.drop_alias(problem, alias)
        except NotFoundError:
            LOG.warning("%s v%s was deleted from the registry", problem, version)
