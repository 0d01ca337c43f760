"""How the answers of a shadow compare with those of Production, row by row; no Ray inside."""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt

from core.deployment.metrics import BOUNDS_S
from core.problems.contract import Columns
from core.rollout.notes import DIFFERENCE_BINS, Disagreement, ShadowNotes
from serve.recorder import Answered

#: A model that takes so long for a request will not come back.
HANGS_S = 10.0
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Side:
    """What one version makes of a request, by its own threshold; ``seconds`` of scoring alone."""

    probabilities: npt.NDArray[np.float64]
    threshold: float
    seconds: float

    @property
    def positive(self) -> npt.NDArray[np.bool_]:
        """Whether each row is labelled positive."""
        return self.probabilities >= self.threshold


class Comparison:
    """Adds up comparisons and keeps the ``examples`` rows that differ most."""

    def __init__(self, examples: int) -> None:
        self._examples = examples
        self._changing = threading.Lock()
        self._requests = self._failed = self._skipped = self._rows = self._agreed = 0
        self._differences = np.zeros(DIFFERENCE_BINS, np.int64)
        self._durations = tuple([0] * (len(BOUNDS_S) + 1) for _ in range(2))
        self._worst: list[Disagreement] = []
        self._failure = ""
        self._began_s: float | None = None
        #: Grows with every change.
        self.revision = 0

    @property
    def is_working(self) -> bool:
        """Whether the shadow scores a request now."""
        return self._began_s is not None

    def begin(self) -> None:
        """Says that the shadow is about to score a request."""
        with self._changing:
            self._began_s = time.monotonic()

    def add(self, answered: Answered, production: Side, shadow: Side) -> None:
        """Counts a request that both have scored.

        Raises:
            ValueError: they have not scored the same number of rows.
        """
        if production.probabilities.shape != shadow.probabilities.shape:
            raise ValueError(f"{shadow.probabilities.size} probabilities came of the records")
        differences = shadow.probabilities - production.probabilities
        bins = ((differences + 1.0) / 2.0 * DIFFERENCE_BINS).astype(np.int64)
        counts = np.bincount(np.clip(bins, 0, DIFFERENCE_BINS - 1), minlength=DIFFERENCE_BINS)
        with self._changing:
            self._began_s = None
            self._requests += 1
            self._rows += differences.size
            self._agreed += int((production.positive == shadow.positive).sum())
            self._differences += counts
            for durations, side in zip(self._durations, (production, shadow), strict=True):
                durations[bisect_left(BOUNDS_S, side.seconds)] += 1
            self._keep_worst(answered, shadow.probabilities, np.abs(differences))
            self.revision += 1

    def fail(self, reason: str) -> None:
        """Counts a request that the shadow could not score."""
        with self._changing:
            self._began_s = None
            self._failed += 1
            self._failure = reason
            self.revision += 1

    def skip(self) -> None:
        """Counts a request of the share that is not compared."""
        with self._changing:
            self._skipped += 1
            self.revision += 1

    def notes(self) -> ShadowNotes:
        """Everything as the core reads it."""
        with self._changing:
            if not self.revision:
                return ShadowNotes()
            production, shadow = (tuple(counts) for counts in self._durations)
            return ShadowNotes(
                requests=self._requests,
                failed=self._failed,
                skipped=self._skipped,
                rows=self._rows,
                agreed=self._agreed,
                differences=tuple(self._differences.tolist()),
                production_durations=production,
                shadow_durations=shadow,
                worst=tuple(self._worst),
                failure=self._said(),
            )

    def _said(self) -> str:
        """Why it does not compare, if it does not."""
        took_s = 0.0 if self._began_s is None else time.monotonic() - self._began_s
        if took_s > HANGS_S:
            return f"One request has been scored for more than {HANGS_S:g} s."
        return self._failure

    def _keep_worst(
        self,
        answered: Answered,
        shadow: npt.NDArray[np.float64],
        sizes: npt.NDArray[np.float64],
    ) -> None:
        least = 0.0
        if len(self._worst) >= self._examples:
            least = abs(self._worst[-1].shadow - self._worst[-1].production) if self._worst else 2.0
        rows = np.flatnonzero(sizes > least)
        if not rows.size:
            return
        largest = rows[np.argsort(-sizes[rows], kind="stable")][: self._examples]
        found = [
            Disagreement(
                at=_EPOCH + timedelta(microseconds=answered.at_us),
                request_id=answered.request_id,
                row=row,
                record=record_at(answered.columns, row),
                production=float(answered.probabilities[row]),
                shadow=float(shadow[row]),
            )
            for row in largest.tolist()
        ]
        ordered = sorted([*self._worst, *found], key=lambda one: -abs(one.shadow - one.production))
        self._worst = ordered[: self._examples]


def record_at(columns: Columns, row: int) -> Mapping[str, float | str | None]:
    """One record as plain values; what is missing is ``None``."""
    values = {name: column[row] for name, column in columns.items()}
    return {
        name: value if value is None or isinstance(value, str) else _number(float(value))
        for name, value in values.items()
    }


def _number(value: float) -> float | None:
    return None if value != value else value
