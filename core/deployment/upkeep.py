"""Keeps the inference log and the labels tidy: the worker's duty."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from core.data.label_count import HttpLabels
from core.data.labels import LabelLog
from core.deployment.inference_log import InferenceLog
from core.deployment.metrics import render, write_metrics
from core.params_inference import InferenceLogParams
from core.promotion.trail import AuditTrail
from core.rollout.notes import forget_notes

#: A beat of the worker comes every two seconds; looking into every folder can wait.
EVERY_S = 60.0
#: Name of the file of metrics.
SOURCE = "labels"


class LogUpkeep:
    """Compacts both logs, prunes the inference log and judges labels that came by HTTP.

    Once a minute at most; ``metrics`` is the folder where it tells what became of labels,
    ``rollouts`` that of what replicas have noted of rollouts.
    """

    def __init__(
        self,
        inference: InferenceLog,
        labels: LabelLog,
        params: InferenceLogParams,
        trail: AuditTrail,
        metrics: Path,
        rollouts: Path,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._inference = inference
        self._labels = labels
        self._keep_days = params.keep_days
        self._by_http = HttpLabels(trail, labels, inference, params.flush_s)
        self._metrics = metrics
        self._rollouts = rollouts
        self._clock = clock
        self._next_s = 0.0

    def run(self) -> None:
        """Does what is due. After a failure it waits for its next time like after success."""
        if self._clock() >= self._next_s:
            self._next_s = self._clock() + EVERY_S
            self._tidy(datetime.now(UTC))
        # At every beat: a file that ages is left out.
        write_metrics(self._metrics, SOURCE, render([self._by_http.family()]))

    def _tidy(self, now: datetime) -> None:
        self._inference.compact()
        self._inference.prune(now, self._keep_days)
        # They hold records as the log does.
        forget_notes(self._rollouts, now - timedelta(days=self._keep_days))
        self._labels.compact()
        self._by_http.judge(now)
