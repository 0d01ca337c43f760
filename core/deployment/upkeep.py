"""Keeps the inference log and the labels tidy: the worker's duty."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

from core.data.label_count import record_http_labels
from core.data.labels import LabelLog
from core.deployment.inference_log import InferenceLog
from core.promotion.trail import AuditTrail

#: A beat of the worker comes every two seconds; looking into every folder can wait.
EVERY_S = 60.0


class LogUpkeep:
    """Compacts both logs, prunes the inference log and records labels that came by HTTP.

    Once a minute at most.
    """

    def __init__(
        self,
        inference: InferenceLog,
        labels: LabelLog,
        keep_days: int,
        trail: AuditTrail,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._inference = inference
        self._labels = labels
        self._keep_days = keep_days
        self._trail = trail
        self._clock = clock
        self._next_s = 0.0

    def run(self) -> None:
        """Does what is due. After a failure it waits for its next time like after success."""
        if self._clock() < self._next_s:
            return
        self._next_s = self._clock() + EVERY_S
        self._inference.compact()
        now = datetime.now(UTC)
        self._inference.prune(now, self._keep_days)
        self._labels.compact()
        record_http_labels(self._trail, self._labels, now)
