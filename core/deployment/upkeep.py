"""Keeps the inference log and the labels tidy: the worker's duty."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

from core.data.labels import LabelLog
from core.deployment.inference_log import InferenceLog

#: A beat of the worker comes every two seconds; looking into every folder can wait.
EVERY_S = 60.0


class LogUpkeep:
    """Compacts both logs and prunes the inference log, once a minute at most."""

    def __init__(
        self,
        inference: InferenceLog,
        labels: LabelLog,
        keep_days: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._inference = inference
        self._labels = labels
        self._keep_days = keep_days
        self._clock = clock
        self._next_s = 0.0

    def run(self) -> None:
        """Does what is due. After a failure it waits for its next time like after success."""
        if self._clock() < self._next_s:
            return
        self._next_s = self._clock() + EVERY_S
        self._inference.compact()
        self._inference.prune(datetime.now(UTC), self._keep_days)
        self._labels.compact()
