"""Keeps replicas at the promotion record, every few seconds, and records what it did."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from core.deployment.drift import Drift, Look
from core.deployment.incidents import Incident, Report, Sight, follow
from core.deployment.reconciler import Reconciler
from core.domain import Promotion
from core.errors import PilothouseError
from core.promotion.audit import Action, Outcome
from core.promotion.identity import WORKER
from core.promotion.ports import Obstacle
from core.promotion.promotions import PromotionService
from core.promotion.trail import AuditTrail


class ServingWatch:
    """What the worker does for the served models. Its memory is that of one process."""

    def __init__(
        self,
        reconciler: Reconciler,
        promotions: PromotionService,
        trail: AuditTrail,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._reconciler = reconciler
        self._promotions = promotions
        self._trail = trail
        self._clock = clock
        self._incidents: dict[str, Incident] = {}
        #: Problems that this process has seen answered as recorded.
        self._answered: set[str] = set()

    def run(self) -> None:
        """Looks once, repairs, records, and takes back what could not be served for long.

        Raises:
            UnavailableError: database, registry or Ray Serve do not answer.
        """
        obstacles: dict[str, Obstacle] = {}
        try:
            look = self._reconciler.look()
            try:
                drift = self._reconciler.mend(look)
            except PilothouseError as exc:
                self._note(look, look.drift, str(exc))
                raise
            self._note(look, drift)
            obstacles = {one.problem: one.obstacle for one in drift if one.obstacle is not None}
        finally:
            # Where nobody can tell, nothing is in the way.
            self._promotions.undo_unservable(obstacles, self._clock())

    def _note(self, look: Look, drift: tuple[Drift, ...], failure: str = "") -> None:
        now, found = self._clock(), {one.problem: one for one in drift}
        for problem, entry in look.record.items():
            one = found.get(problem)
            if one is None:
                self._answered.add(problem)
            elif self._is_start(entry, one):
                continue
            sight = _sight(now, entry, one, failure)
            incident, report = follow(self._incidents.get(problem), sight)
            if report is not None:
                self._record(problem, report)
            if incident is None:
                self._incidents.pop(problem, None)
            else:
                self._incidents[problem] = incident

    def _is_start(self, entry: Promotion, drift: Drift) -> bool:
        """Whether replicas are yet to serve it for the first time, by decision or by start."""
        is_first_sight = drift.served is None and drift.problem not in self._answered
        return drift.problem not in self._incidents and (entry.live_at is None or is_first_sight)

    def _record(self, problem: str, report: Report) -> None:
        self._trail.record(
            Action.SERVING_REPAIRED,
            actor=WORKER,
            object=f"{problem} v{report.recorded}",
            problem=problem,
            outcome=Outcome.DONE if report.is_over else Outcome.FAILED,
            detail=report.text,
        )


def _sight(now: datetime, entry: Promotion, drift: Drift | None, failure: str) -> Sight:
    if drift is None:
        return Sight(now, entry.version, is_well=True)
    obstacle = drift.obstacle.reason if drift.obstacle else failure
    return Sight(now, entry.version, False, drift.served, drift.told, obstacle)
