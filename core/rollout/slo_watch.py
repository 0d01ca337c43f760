"""Counts what service level objectives are about, and tells how they stand.

The worker counts from the files that replicas write for ``/metrics``. What it has counted, and
the counters as it saw them last, lie in one file that is replaced as a whole, so a worker that is
started anew neither forgets nor counts twice. What a replica has answered after the last look at
it is in nobody's counts, and what comes while no worker runs counts when the next one looks.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import reduce
from pathlib import Path

from pydantic import ValidationError

from core.deployment.metrics import join, metrics_folder, read_metrics
from core.deployment.scrape import read_scrape
from core.errors import UnavailableError
from core.params_rollout import SloParams
from core.rollout.slo import Budget, Counted, budget, within_window
from core.rollout.slo_counts import SloCounts, add, counters_in

LOG = logging.getLogger(__name__)


class SloWatch:
    """A duty of the worker."""

    def __init__(
        self,
        home: Path,
        objectives: Mapping[str, SloParams],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._file = slo_file(home)
        self._metrics = metrics_folder(home)
        self._limits_ms = {name: one.p95_ms for name, one in objectives.items()}
        self._now = now

    def look(self) -> None:
        """Adds to this hour what replicas have answered since the last look; see ``add``.

        A file of counts that cannot be read is replaced by a new one.

        Raises:
            OSError: the file cannot be written.
        """
        try:
            before = _read(self._file)
        except UnavailableError as exc:
            LOG.warning("what was counted for objectives is begun anew: %s", exc)
            before = None
        seen = counters_in(read_scrape(join(read_metrics(self._metrics)), 0.0), self._limits_ms)
        hour = self._now().astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        after = add(before, seen, self._limits_ms, hour)
        if after != before:
            self._write(after)

    def _write(self, counts: SloCounts) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Without a flush to disk: it comes every few seconds.
        unborn = self._file.with_suffix(".new")
        unborn.write_text(counts.model_dump_json(), encoding="utf-8")
        unborn.replace(self._file)


class SloService:
    """Tells how problems stand to their objectives."""

    def __init__(
        self,
        home: Path,
        objectives: Mapping[str, SloParams],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._file = slo_file(home)
        self._objectives = objectives
        self._now = now

    def look(self, problem: str) -> Budget | None:
        """The error budget of a problem; ``None`` where it has no objective.

        Raises:
            UnavailableError: what the worker has counted cannot be read.
        """
        objective = self._objectives.get(problem)
        if objective is None:
            return None
        hours = (_read(self._file) or SloCounts()).hours.get(problem, {})
        counted = within_window(hours, self._now(), objective.window_days)
        return budget(problem, objective, reduce(Counted.plus, counted, Counted()))


def slo_file(home: Path) -> Path:
    """Where the counts lie."""
    return home / "load" / "slo.json"


def _read(file: Path) -> SloCounts | None:
    """What was counted so far; ``None`` where nobody has counted yet.

    Raises:
        UnavailableError: it cannot be read.
    """
    try:
        return SloCounts.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as exc:
        raise UnavailableError(
            f"{file} cannot be read.", fix="Remove it; the worker begins to count anew."
        ) from exc
