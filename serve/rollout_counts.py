"""What one replica counts of one rollout, over all of its steps; no Ray inside."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from core.deployment.metrics import BOUNDS_S
from core.rollout.notes import PROBABILITY_BINS, RolloutNotes, VersionNotes
from serve.comparison import Comparison
from serve.split import Split


def no_durations() -> list[int]:
    """A count for each of ``BOUNDS_S``, and one of what lies above."""
    return [0] * (len(BOUNDS_S) + 1)


@dataclass(slots=True)
class _Version:
    requests: int = 0
    failed: int = 0
    rows: int = 0
    seconds: float = 0.0
    durations: list[int] = field(default_factory=no_durations)
    probabilities: list[int] = field(default_factory=lambda: [0] * PROBABILITY_BINS)

    def notes(self) -> VersionNotes:
        return VersionNotes(
            requests=self.requests,
            failed=self.failed,
            rows=self.rows,
            seconds=self.seconds,
            durations=tuple(self.durations),
            probabilities=tuple(self.probabilities),
        )


class RolloutCounts:
    """Counts of one rollout, kept by this process while steps come and go.

    ``examples`` is how many records that disagree are kept of a shadow.
    """

    def __init__(self, rollout: str, examples: int) -> None:
        self.rollout = rollout
        self.split = Split(rollout)
        self.comparison = Comparison(examples)
        self._changing = threading.Lock()
        self._steps: defaultdict[tuple[int, int], _Version] = defaultdict(_Version)
        self._failure = ""
        self._faults: set[str] = set()
        self._revision = 0

    @property
    def is_restless(self) -> bool:
        """Whether it is to be told also while nothing changes: a failed load, a long scoring."""
        return bool(self._failure) or self.comparison.is_working

    @property
    def revision(self) -> int:
        """Grows with every change."""
        return self._revision + self.comparison.revision

    def note(self, step: int, version: int, seconds: float, *, failed: bool) -> None:
        """Counts a request that a version was chosen for.

        Args:
            step: in which it was chosen.
            version: the one chosen.
            seconds: from the headers of the request to its answer.
            failed: whether the version could not answer.
        """
        with self._changing:
            counted = self._steps[step, version]
            counted.requests += 1
            counted.failed += failed
            counted.seconds += seconds
            counted.durations[bisect_left(BOUNDS_S, seconds)] += 1
            self._revision += 1

    def add_rows(self, step: int, version: int, probabilities: npt.NDArray[np.float64]) -> None:
        """Counts the records that a version has answered, with its ``probabilities``."""
        places = _places(probabilities)
        with self._changing:
            counted = self._steps[step, version]
            counted.rows += probabilities.size
            for place, count in places:
                counted.probabilities[place] += count
            self._revision += 1

    def tell_load(self, failure: str) -> None:
        """Says why the version cannot be loaded; empty once it is."""
        with self._changing:
            self._failure = failure
            self._revision += 1

    def is_new(self, fault: str) -> bool:
        """Whether the version fails in this way for the first time, which is worth a log line."""
        with self._changing:
            known = fault in self._faults
            self._faults.add(fault)
        return not known

    def notes(self) -> RolloutNotes:
        """Everything as the core reads it."""
        with self._changing:
            steps: dict[int, dict[int, VersionNotes]] = {}
            for (step, version), counted in sorted(self._steps.items()):
                steps.setdefault(step, {})[version] = counted.notes()
            failure = self._failure
        return RolloutNotes(steps=steps, shadow=self.comparison.notes(), failure=failure)


def _places(probabilities: npt.NDArray[np.float64]) -> list[tuple[int, int]]:
    """(bin, how many of them fall into it)."""
    last = PROBABILITY_BINS - 1
    if probabilities.size == 1:
        # A call of NumPy costs more than a single record.
        return [(min(max(int(probabilities[0] * PROBABILITY_BINS), 0), last), 1)]
    bins = np.clip((probabilities * PROBABILITY_BINS).astype(np.int64), 0, last)
    return list(enumerate(np.bincount(bins).tolist()))
