"""Which version serves, which one waits, and who decided: the service of it all.

The promotion record in the database decides; alias, tags and deployment are its
projections, made by ``carrying`` and repaired by the worker when a process dies in between.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from core.domain import Approval, GateResult, ModelVersion, Promotion, PromotionRequest, Run
from core.promotion.approval import Way
from core.promotion.audit import Action
from core.promotion.candidates import Candidates
from core.promotion.decisions import Decided, Decisions
from core.promotion.desk import Desk
from core.promotion.four_eyes import standing
from core.promotion.ports import Obstacle
from core.promotion.repairs import Repairs
from core.promotion.rollbacks import Rollbacks
from core.promotion.shown import AliasDrift


class PromotionService:
    """Candidates, requests, decisions and the promotion record."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._candidates = Candidates(desk)
        self._decisions = Decisions(desk)
        self._rollbacks = Rollbacks(desk)
        self._repairs = Repairs(desk, self._rollbacks)

    # What there is

    def production(self, problem: str) -> Promotion | None:
        """What serves by the record; ``None`` before the first promotion."""
        return self._desk.records.production(problem)

    def history(self, problem: str) -> tuple[Promotion, ...]:
        """The promotion record, newest first."""
        return self._desk.records.promotions(problem)

    def serving_at(self, problem: str, moment: datetime) -> Promotion | None:
        """What replicas served at a moment; ``None`` where nothing did.

        A promotion counts from when replicas first answered with it, which the worker sees
        within a beat. One that never came to serve has never served.
        """
        for promotion in self._desk.records.promotions(problem):
            if promotion.live_at is not None and promotion.live_at <= moment:
                return promotion
        return None

    def requests(
        self,
        problem: str | None = None,
        *,
        open_only: bool = False,
        limit: int | None = None,
    ) -> tuple[PromotionRequest, ...]:
        """Promotion requests, newest first; all of them without a limit."""
        return self._desk.records.requests(problem, open_only=open_only, limit=limit)

    def get(self, request_id: str) -> PromotionRequest:
        """Reads one promotion request.

        Raises:
            NotFoundError: there is no such request.
        """
        return self._desk.records.request(request_id)

    @property
    def approvals_required(self) -> int:
        """How many people have to approve; where nobody can be told apart it is one."""
        return self._decisions.required

    def objection(self, request: PromotionRequest, actor: str) -> str:
        """Why an actor may not approve a request, as one sentence; empty if nothing is."""
        return self._decisions.objection(request, actor)

    def approvals(self, request_id: str) -> tuple[Approval, ...]:
        """Who has said yes to a request, oldest first."""
        return self._desk.records.approvals(request_id)

    def gates_of(self, problem: str, version: int) -> tuple[GateResult, ...]:
        """What the gates said of a version when it was last put up; empty if it never was."""
        for request in self._desk.records.requests(problem):
            if request.version == version:
                return request.gates
        return ()

    def version(self, problem: str, version: int) -> ModelVersion:
        """Reads a registered version.

        Raises:
            NotFoundError: the registry does not have it.
        """
        return self._desk.registry.get(problem, version)

    def alias_drift(self, problem: str) -> tuple[AliasDrift, ...]:
        """Aliases in the registry that do not show the record.

        Right after a decision they may lag behind it for a moment.

        Raises:
            UnavailableError: the registry does not answer.
        """
        return self._desk.carrier.alias_drift(problem)

    @property
    def four_eyes(self) -> str:
        """Whether whoever brought a candidate about is kept from approving it, in words."""
        return standing(self._desk.identities.told_apart)

    # What people do

    def request(self, problem: str, version: int, *, actor: str, reason: str) -> PromotionRequest:
        """Asks for a registered version; see ``Candidates.request``."""
        self._require(Action.REQUEST_OPENED, actor, f"{problem} v{version}", problem)
        return self._candidates.request(problem, version, actor=actor, reason=reason)

    def approve(
        self,
        request_id: str,
        *,
        reason: str,
        actor: str,
        in_steps: bool = False,
        despite_budget: str = "",
    ) -> Decided:
        """Says yes to a request; see ``Decisions.approve``.

        Args:
            request_id: of which request.
            reason: why.
            actor: who.
            in_steps: whether it takes over in the steps of ``rollout.canary`` or at once.
            despite_budget: why it may roll out although the error budget is spent.
        """
        self._require(Action.APPROVAL_GIVEN, actor, f"request {request_id}")
        way = Way(self._desk.rollout.canary.steps if in_steps else (), despite_budget.strip())
        return self._decisions.approve(request_id, reason=reason, actor=actor, way=way)

    def reject(self, request_id: str, *, reason: str, actor: str) -> PromotionRequest:
        """Closes a request; see ``Decisions.reject``."""
        self._require(Action.REQUEST_REJECTED, actor, f"request {request_id}")
        return self._decisions.reject(request_id, reason=reason, actor=actor)

    def rollback(
        self, problem: str, version: int | None = None, *, reason: str, actor: str
    ) -> Promotion:
        """Goes back to an earlier Production version; see ``Rollbacks.rollback``."""
        self._require(Action.ROLLED_BACK, actor, f"Production of {problem}", problem)
        return self._rollbacks.rollback(problem, version, reason=reason, actor=actor)

    def restore_alias(self, problem: str, *, actor: str, reason: str) -> Promotion:
        """Makes aliases show the record again; see ``Rollbacks.restore_alias``."""
        self._require(Action.ALIAS_RESTORED, actor, f"aliases of {problem}", problem)
        return self._rollbacks.restore_alias(problem, actor=actor, reason=reason)

    def _require(self, action: Action, actor: str, object: str, problem: str = "") -> None:
        self._desk.trail.require(action, actor=actor, object=object, problem=problem)

    # What the worker does

    def consider(self, run: Run) -> None:
        """Looks at a finished run's version; see ``Candidates.consider``."""
        self._candidates.consider(run)

    def finish(self) -> None:
        """Carries out what was left undone; see ``Repairs.finish``."""
        self._repairs.finish()

    def undo_unservable(self, obstacles: Mapping[str, Obstacle], now: datetime) -> None:
        """Takes back what cannot be served; see ``Repairs.undo_unservable``."""
        self._repairs.undo_unservable(obstacles, now)

    def note_aliases(self, problem: str) -> tuple[AliasDrift, ...]:
        """Looks for aliases that were moved; see ``Repairs.note_aliases``."""
        return self._repairs.note_aliases(problem)
