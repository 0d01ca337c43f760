"""What the worker does for decisions: completes what was left, takes back what cannot serve."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta

from core.domain import Promotion, RequestStatus
from core.errors import NotFoundError, PilothouseError
from core.promotion.audit import Action, AuditEntry
from core.promotion.change import Change, Unfinished, closed_as
from core.promotion.desk import Desk
from core.promotion.identity import WORKER
from core.promotion.ports import Obstacle
from core.promotion.rollbacks import Rollbacks
from core.promotion.shown import AUTOMATIC_ROLLBACK, AliasDrift

LOG = logging.getLogger(__name__)
#: Requests that close together with a decision that is told of by itself.
_TOLD_ELSEWHERE = (RequestStatus.APPROVED, RequestStatus.SUPERSEDED)


def may_be_undone(current: Promotion, obstacle: Obstacle) -> bool:
    """Whether a promotion may be taken back without a person.

    A version that has served is taken back only if it was deleted: everything else may pass.
    None is taken back for an outage of the registry.
    What the worker itself has gone back to stays, so that it does not run through the whole
    record while something else is broken.
    """
    never_served = current.live_at is None
    if obstacle.is_outage or current.rule == AUTOMATIC_ROLLBACK:
        return False
    return never_served or obstacle.deleted


class Repairs:
    """Makes whole what processes that died, or people behind our back, have left."""

    def __init__(self, desk: Desk, rollbacks: Rollbacks) -> None:
        self._desk = desk
        self._rollbacks = rollbacks
        #: Promotion -> since when something has been in its way.
        self._in_the_way: dict[str, datetime] = {}

    def finish(self) -> None:
        """Carries out decisions that nobody is at work on any more, and says so.

        Raises:
            PilothouseError: registry or replicas do not take one of them; the others were
                carried out.
        """
        failures: list[PilothouseError] = []
        with self._desk.carrier.free_turn() as mine:
            left = self._desk.records.unfinished() if mine else Unfinished((), ())
            for problem in left.problems:
                own = left.of(problem)
                try:
                    self._desk.carrier.finish(self._completed(own), problem, own)
                except PilothouseError as exc:
                    failures.append(exc)
        if failures:
            raise failures[0]

    def undo_unservable(self, obstacles: Mapping[str, Obstacle], now: datetime) -> None:
        """Takes back promotions whose version could not be served for a set time.

        The time is counted from when this process first saw it, and only while registry and
        Ray Serve answer.

        Args:
            obstacles: problem -> what is in the way of the version it should have.
            now: the time.

        Raises:
            UnavailableError: the registry does not answer.
        """
        waiting: dict[str, datetime] = {}
        for problem, obstacle in obstacles.items():
            current = self._desk.records.production(problem)
            if current is not None and may_be_undone(current, obstacle):
                since = self._in_the_way.get(current.id, now)
                waiting[current.id] = since
                if now - since >= timedelta(seconds=self._desk.params.undo_after_s):
                    self._undo(current, obstacle)
        self._in_the_way = waiting

    def note_aliases(self, problem: str) -> tuple[AliasDrift, ...]:
        """Looks for aliases that somebody has moved; each move is told of once.

        A version that was deleted takes its alias along: a request for it becomes stale.

        Nothing is moved back and nothing is deployed: that is for a person.

        Raises:
            UnavailableError: the registry does not answer.
        """
        with self._desk.carrier.free_turn() as mine:
            current = self._desk.records.production(problem)
            if not mine or current is None or self._desk.records.unfinished().of(problem).problems:
                # Somebody is at work on them, or will be.
                return ()
            self._close_deleted(problem)
            drift = self._desk.carrier.alias_drift(problem)
            said = " ".join(one.said() for one in drift)
            if said != self._desk.records.told_of_aliases(problem):
                action = Action.ALIAS_MOVED if drift else Action.ALIAS_RESTORED
                detail = said or "The aliases show the record again."
                entry = self._desk.entry(
                    action, problem, current.version, actor=WORKER, detail=detail
                )
                self._desk.records.decide(Change(problem, (entry,)))
        return drift

    def _close_deleted(self, problem: str) -> None:
        for request in self._desk.records.requests(problem, open_only=True):
            try:
                self._desk.registry.get(problem, request.version)
            except NotFoundError as exc:
                stale = closed_as(request, RequestStatus.STALE, exc.message, WORKER)
                entry = self._desk.entry(
                    Action.REQUEST_STALE,
                    problem,
                    request.version,
                    actor=WORKER,
                    request_id=request.id,
                    detail=exc.message,
                )
                self._desk.carrier.decide(Change(problem, (entry,), closed=(stale,)))

    def _undo(self, current: Promotion, obstacle: Obstacle) -> None:
        seconds = self._desk.params.undo_after_s
        why = f"It could not be served for {seconds:g} s: {obstacle.reason}"
        back = self._rollbacks.undo(current, why, actor=WORKER)
        if back is None:
            LOG.error("%s v%d has nothing to go back to", current.problem, current.version)
        else:
            LOG.warning("%s goes back to v%d: %s", current.problem, back.version, why)

    def _completed(self, left: Unfinished) -> tuple[AuditEntry, ...]:
        requests = [one for one in left.requests if one.status not in _TOLD_ELSEWHERE]
        promoted = tuple(
            self._row(one.problem, one.version, one.request_id) for one in left.promotions
        )
        return (*promoted, *(self._row(one.problem, one.version, one.id) for one in requests))

    def _row(self, problem: str, version: int, request_id: str | None) -> AuditEntry:
        return self._desk.entry(
            Action.DECISION_COMPLETED,
            problem,
            version,
            actor=WORKER,
            request_id=request_id,
            detail="It was decided and not carried out in full; registry and replicas follow now.",
        )
