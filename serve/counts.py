"""What one replica counts, as Prometheus reads it; no Ray inside."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from core.deployment.metrics import (
    BOUNDS_S,
    DURATION,
    MODEL,
    REQUESTS,
    SHARE,
    Family,
    Sample,
    join,
    read_metrics,
    render,
)
from serve.recorder import Answered
from serve.store import Snapshot

ROWS = "pilothouse_predictions_total"
LOST_ROWS = "pilothouse_inference_log_rows_lost_total"


@dataclass(slots=True)
class _Times:
    """A histogram; the last count is of what lies above every bound."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_S) + 1))
    sum_s: float = 0.0


class Counts:
    """Requests, their times, predictions and lost rows since the replica started.

    ``replica`` is unique, since it tells the samples of one from those of another.
    """

    def __init__(self, replica: str) -> None:
        self.replica = replica
        #: Changed on the loop alone: (problem, route, status) and (problem, route).
        self._requests: defaultdict[tuple[str, str, int], int] = defaultdict(int)
        self._times: dict[tuple[str, str], _Times] = {}
        self._changing = threading.Lock()
        self._rows: defaultdict[tuple[str, int], int] = defaultdict(int)
        self._lost: Counter[str] = Counter()

    def note(self, problem: str, route: str, status: int, seconds: float) -> None:
        """Counts an answered request. Not for several threads."""
        self._requests[problem, route, status] += 1
        times = self._times.get((problem, route))
        if times is None:
            times = self._times[problem, route] = _Times()
        times.counts[bisect_left(BOUNDS_S, seconds)] += 1
        times.sum_s += seconds

    def add_predictions(self, answered: Answered) -> None:
        """Counts the rows of a prediction."""
        with self._changing:
            self._rows[answered.problem, answered.version] += answered.probabilities.size

    def add_lost(self, problem: str, rows: int) -> None:
        """Counts rows that the inference log has lost."""
        with self._changing:
            self._lost[problem] += rows

    def text(self, snapshot: Snapshot) -> str:
        """Everything in Prometheus' format; ``snapshot`` says what is served."""
        return render(
            [
                Family(REQUESTS, "counter", "Requests by status of the answer.", self._asked()),
                Family(DURATION, "histogram", "Time to an answer.", self._durations()),
                Family(ROWS, "counter", "Records that were scored.", self._predicted()),
                Family(LOST_ROWS, "counter", "Rows the log lost.", self._lost_rows(snapshot)),
                Family(MODEL, "gauge", "1 for the version served.", self._models(snapshot)),
                Family(SHARE, "gauge", "Share of a rollout's version.", self._shares(snapshot)),
            ]
        )

    def page(self, snapshot: Snapshot) -> str:
        """The metrics of all processes; those of this replica are of this moment."""
        folder = snapshot.config.metrics if snapshot.config else None
        others = read_metrics(folder, but=self.replica) if folder else []
        return join([self.text(snapshot), *others])

    def _sample(self, value: float, suffix: str = "", **labels: object) -> Sample:
        told = {name: str(label) for name, label in labels.items()}
        return Sample({**told, "replica": self.replica}, value, suffix)

    def _asked(self) -> list[Sample]:
        return [
            self._sample(count, problem=problem, route=route, status=status)
            for (problem, route, status), count in list(self._requests.items())
        ]

    def _durations(self) -> list[Sample]:
        samples = []
        for (problem, route), times in list(self._times.items()):
            of = {"problem": problem, "route": route}
            total = 0
            for bound, count in zip((*BOUNDS_S, "+Inf"), list(times.counts), strict=True):
                total += count
                samples.append(self._sample(total, "_bucket", **of, le=bound))
            samples.append(self._sample(times.sum_s, "_sum", **of))
            samples.append(self._sample(total, "_count", **of))
        return samples

    def _predicted(self) -> list[Sample]:
        with self._changing:
            rows = list(self._rows.items())
        return [self._sample(count, problem=name, version=v) for (name, v), count in rows]

    def _lost_rows(self, snapshot: Snapshot) -> list[Sample]:
        # Zero is told too: an alert on an increase needs something to increase from.
        names = sorted({*self._lost, *snapshot.models})
        return [self._sample(self._lost[name], problem=name) for name in names]

    def _models(self, snapshot: Snapshot) -> list[Sample]:
        return [
            self._sample(1, problem=name, version=model.ref.version, family=model.facts.family)
            for name, model in snapshot.models.items()
        ]

    def _shares(self, snapshot: Snapshot) -> list[Sample]:
        return [
            self._sample(
                active.plan.share,
                problem=name,
                version=active.plan.model.version,
                kind=active.plan.kind,
                step=active.plan.step,
            )
            for name, active in snapshot.beside.items()
            if active.model is not None
        ]
