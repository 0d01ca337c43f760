"""What the worker does about watching: starts due checks, and acts on finished ones."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import TypeVar

from core.domain_watching import Check
from core.errors import ConflictError, PilothouseError, ResourceError
from core.monitoring.alerting import moved_aliases
from core.monitoring.alerts import AlertService
from core.monitoring.ports import CheckQueue, Checks, NewBatches
from core.monitoring.retrains import RetrainingService
from core.monitoring.schedule import due
from core.params_alerts import ScheduleParams
from core.promotion.identity import ARRIVAL, SCHEDULE
from core.promotion.promotions import PromotionService

LOG = logging.getLogger(__name__)
_Item = TypeVar("_Item")
#: Checks among which one of newer data is looked for.
MOST_EARLIER = 1000
#: How often aliases are looked at; nothing is deployed because of them meanwhile.
ALIASES_EVERY = timedelta(seconds=10)


class WatchService:
    """Checks by schedule; alerts and retrains by checks."""

    def __init__(
        self,
        params: ScheduleParams,
        checks: Checks,
        queue: CheckQueue,
        batches: NewBatches,
        alerts: AlertService,
        retraining: RetrainingService,
        promotions: PromotionService,
    ) -> None:
        self._params = params
        self._checks = checks
        self._queue = queue
        self._batches = batches
        self._alerts = alerts
        self._retraining = retraining
        self._promotions = promotions
        self._aliases_seen: datetime | None = None

    def start_due_checks(self, now: datetime) -> None:
        """Starts the checks whose time has come, one a problem at a time.

        What was done is read from the checks themselves, so that a time is served once,
        also after a restart. A problem with nothing in production has nothing to check.

        Raises:
            PilothouseError: a check could not be started; the others were.
        """
        _each(self._params.checks, lambda problem: self._start_if_due(problem, now))

    def _start_if_due(self, problem: str, now: datetime) -> None:
        production = self._promotions.production(problem)
        if production is None:
            return
        checks = self._checks.list(problem)
        if any(check.status.is_active for check in checks):
            return
        served = [check.started_at for check in checks if check.started_by == SCHEDULE]
        last = max([production.since, *served])
        if due(self._params.checks[problem], last, now) is not None:
            self._checks.start(problem, actor=SCHEDULE)

    def check_arrivals(self, problems: Iterable[str]) -> None:
        """Checks batches that have come, or that labels have come for, one at a time.

        Raises:
            PilothouseError: a check could not be started; the others were.
        """
        _each(problems, self._check_arrival)

    def _check_arrival(self, problem: str) -> None:
        waiting = self._batches.unchecked(problem)
        if not waiting or self._promotions.production(problem) is None:
            return
        if any(check.status.is_active for check in self._checks.list(problem)):
            return
        failure: ResourceError | None = None
        for batch in waiting:
            try:
                self._checks.start(problem, batch_id=batch.id, actor=ARRIVAL)
                return
            except ResourceError as exc:
                # It has more rows than memory is to hold; another one may have fewer.
                failure = failure or exc
        if failure is not None:
            raise failure

    def is_considered(self, check_id: str) -> bool:
        """Whether alerts have looked at a finished check."""
        return check_id not in {check.id for check in self._queue.unconsidered()}

    def consider_checks(self) -> None:
        """Gives finished checks to alerts and then to the policy of retraining.

        Raises:
            PilothouseError: a check could not be considered and will be again; the others
                were.
        """

        def consider(check: Check) -> None:
            earlier = self._queue.list(check.problem, MOST_EARLIER)
            told = self._alerts.consider(check, self._checks.report(check.id), earlier)
            self._queue.mark_considered(check.id, told)

        _each(self._queue.unconsidered(), consider)

    def watch_aliases(self, problems: Iterable[str], now: datetime) -> None:
        """Raises an alert where somebody has moved an alias in the registry, and closes it.

        Raises:
            PilothouseError: the registry does not answer.
        """
        if self._aliases_seen is not None and now - self._aliases_seen < ALIASES_EVERY:
            return

        def look(problem: str) -> None:
            drift = self._promotions.note_aliases(problem)
            self._alerts.act_on(moved_aliases(problem, [one.said() for one in drift], now))

        _each(problems, look)
        self._aliases_seen = now

    def retrain_due(self, problems: Iterable[str], now: datetime) -> None:
        """Asks the policy of retraining for each problem, and notes what became of retrains.

        Raises:
            PilothouseError: a service does not answer, or the cluster cannot give what a run
                needs.
        """
        self._retraining.tell_outcomes()

        def ask(problem: str) -> None:
            try:
                self._retraining.retrain_due(problem, now)
            except ConflictError as exc:
                LOG.info("no retrain of %s now: %s", problem, exc)

        _each(problems, ask)


def _each(items: Iterable[_Item], do: Callable[[_Item], None]) -> None:
    """Does something with each item; the first failure is raised after the last item."""
    failures: list[PilothouseError] = []
    for item in items:
        try:
            do(item)
        except PilothouseError as exc:
            failures.append(exc)
    if failures:
        raise failures[0]
