"""Keeps what MLflow said of runs that have ended, so that a page need not ask again.

MLflow takes more than a second to give a thousand runs with their metrics. A run that has
ended stays as it is, so later readings ask only for those that go on, those that ended
lately, and those that were deleted.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from core.adapters.mlflow import RunTracker, TrackedRun

#: Clocks of the nodes that close runs may differ by less than this.
OVERLAP = timedelta(hours=1)
#: What a person edits in MLflow after a run has ended is seen after this at the latest.
REREAD_S = 600.0


@dataclass(frozen=True)
class _Known:
    """Runs by id, all of those that started at ``reach`` or later; all there are if None.

    ``limit``, ``reach`` and ``read_at`` are those of the last whole reading.
    """

    runs: dict[str, TrackedRun]
    deleted: frozenset[str]
    limit: int
    reach: datetime | None
    read_at: float

    @property
    def latest_end(self) -> datetime:
        """When the last run ended that is known to have."""
        ends = [run.ended_at for run in self.runs.values() if run.ended_at is not None]
        return max(ends, default=datetime.fromtimestamp(0, UTC) + OVERLAP)


class RunMemory:
    """Newest runs of a problem; may be asked from several threads."""

    def __init__(self, tracker: RunTracker, clock: Callable[[], float] = time.monotonic) -> None:
        self._tracker = tracker
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[str, _Known] = {}

    def newest(self, problem: str, limit: int) -> tuple[TrackedRun, ...]:
        """Returns what ``RunTracker.list`` would, mostly without reading all of it.

        Raises:
            UnavailableError: MLflow does not answer, whatever is remembered.
        """
        with self._lock:
            known = self._known.get(problem)
            updated = None if known is None else self._updated(problem, limit, known)
            self._known[problem] = updated or self._read(problem, limit)
            runs = self._known[problem].runs.values()
        return tuple(sorted(runs, key=lambda run: (-run.started_at.timestamp(), run.id))[:limit])

    def _read(self, problem: str, limit: int) -> _Known:
        now = self._clock()
        deleted = self._tracker.changes(problem, datetime.now(UTC)).deleted
        found = {run.id: run for run in self._tracker.list(problem, limit)}
        # As many as asked for: there may be older ones.
        reach = min(run.started_at for run in found.values()) if len(found) == limit else None
        return _Known(found, deleted, limit, reach, now)

    def _updated(self, problem: str, limit: int, known: _Known) -> _Known | None:
        """What is known with what has changed; ``None`` if all has to be read again."""
        if known.reach is not None and limit > known.limit:
            return None
        if self._clock() - known.read_at > REREAD_S:
            return None
        changes = self._tracker.changes(problem, known.latest_end - OVERLAP)
        if known.deleted - changes.deleted:
            # Somebody restored a run that is not remembered.
            return None
        ended = {run.id: run for run in known.runs.values() if run.ended_at is not None}
        current = ended | {run.id: run for run in changes.runs}
        kept = {
            key: run
            for key, run in current.items()
            if key not in changes.deleted and (known.reach is None or run.started_at >= known.reach)
        }
        if known.reach is not None and len(kept) < limit:
            return None
        return replace(known, runs=kept, deleted=changes.deleted)
