"""Measures the served models every few seconds and notes how Ray Serve scales them."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from core.deployment.load import in_flight, problems_in, traffic
from core.deployment.load_history import LoadFiles, LoadPoint, Measured
from core.deployment.metrics import MODEL, join, metrics_folder, read_metrics
from core.deployment.scaling import ReplicaSet, explain
from core.deployment.scrape import Scrape, read_scrape
from core.errors import UnavailableError

LOG = logging.getLogger(__name__)

#: Seconds between two measurements.
EVERY_S = 3.0
#: Over so many seconds requests are counted: long against the second that counts may be old.
WINDOW_S = 10.0


class Replicas(Protocol):
    """Who knows of the replicas."""

    def replica_set(self) -> ReplicaSet | None:
        """Those of now; ``None`` where nothing is deployed."""


class LoadWatch:
    """A duty of the worker; what it has seen lies in files.

    Counts are read from the files that replicas write for ``/metrics``, so measuring asks
    nothing of those that answer.
    """

    def __init__(
        self,
        home: Path,
        replicas: Replicas,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._metrics = metrics_folder(home)
        self._files = LoadFiles(home)
        self._replicas = replicas
        self._clock = clock
        self._now = now
        self._scrapes: deque[Scrape] = deque()

    def look(self) -> None:
        """Measures once.

        Raises:
            UnavailableError: Ray does not say how many replicas there are, or a file of
                this duty cannot be read. What was measured is kept all the same.
            OSError: a file cannot be written.
        """
        scrape = read_scrape(join(read_metrics(self._metrics)), self._clock())
        try:
            found = self._replicas.replica_set()
        except UnavailableError:
            self._measure(scrape, None)
            raise
        self._measure(scrape, found)
        self._note_decision(found)

    def _measure(self, scrape: Scrape, found: ReplicaSet | None) -> None:
        look_back_s = found.policy.look_back_s if found else WINDOW_S
        counted, looked = self._before(scrape, WINDOW_S), self._before(scrape, look_back_s)
        self._scrapes.append(scrape)
        while scrape.at_s - self._scrapes[0].at_s > 2 * max(WINDOW_S, look_back_s):
            self._scrapes.popleft()
        if counted is None or looked is None:
            return
        point = LoadPoint(
            at=self._now(),
            total=traffic(counted, scrape),
            problems={one: traffic(counted, scrape, one) for one in problems_in([scrape])},
            in_flight=in_flight(looked, scrape),
            versions=_versions(scrape),
            running=found.running if found else None,
            target=found.target if found else None,
        )
        try:
            before = self._files.measured()
        except UnavailableError as exc:
            LOG.warning("what was measured of the load is begun anew: %s", exc)
            before = Measured()
        self._files.keep_measured(before.with_point(point))

    def _before(self, scrape: Scrape, span_s: float) -> Scrape | None:
        """The newest scrape that is so old, or else the oldest."""
        old = [one for one in self._scrapes if scrape.at_s - one.at_s >= span_s]
        if old:
            return old[-1]
        return self._scrapes[0] if self._scrapes else None

    def _note_decision(self, found: ReplicaSet | None) -> None:
        seen = self._files.scaled()
        # Where nothing is deployed nobody asks for replicas: what comes then is no change.
        target, policy = (found.target, found.policy) if found else (None, seen.policy)
        if (seen.target, seen.policy) == (target, policy):
            return
        made = seen.decisions
        if found is not None and seen.target is not None and seen.target != found.target:
            measured = [one.load for one in self._files.measured().points]
            policies = (seen.policy or found.policy, found.policy)
            made = (
                explain(seen.target, found.target, policies, measured, self._now()),
                *made,
            )
        self._files.keep_scaled(
            seen.model_copy(update={"target": target, "policy": policy, "decisions": made})
        )


def _versions(scrape: Scrape) -> Mapping[str, Mapping[str, int]]:
    """Replica -> problem -> the version it serves."""
    found: dict[str, dict[str, int]] = {}
    for series, value in scrape.of(MODEL):
        if value:
            of_replica = found.setdefault(series.label("replica"), {})
            of_replica[series.label("problem")] = int(series.label("version"))
    return found
