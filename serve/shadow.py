"""Scores live requests a second time, after their answers went out; no Ray inside."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from typing import NamedTuple

from serve.comparison import Comparison, Side
from serve.predictor import LoadedModel
from serve.recorder import Answered

logger = logging.getLogger(__name__)

#: Rows of all requests that wait in a replica. A request may have thousands of them, and they
#: stay in memory until their turn.
MAX_WAITING_ROWS = 100_000
#: The thread looks so often. Waking it for each request would cost the loop as much as scoring.
EVERY_S = 0.02


class _Task(NamedTuple):
    answered: Answered
    production: LoadedModel


class Shadow:
    """A bounded queue and the thread that empties it. What does not fit is counted as skipped.

    A model that hangs holds up this thread and nothing else: the queue fills, and the thread ends
    with its process.
    """

    def __init__(self, model: LoadedModel, comparison: Comparison, queue_requests: int) -> None:
        self.model = model
        self._comparison = comparison
        self._queue_requests = queue_requests
        self._changing = threading.Lock()
        self._queue: deque[_Task] = deque()
        self._waiting_rows = 0
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="shadow", daemon=True)
        self._thread.start()

    def offer(self, answered: Answered, production: LoadedModel) -> None:
        """Takes an answered request into the queue, or counts it as skipped; returns at once."""
        rows = answered.probabilities.size
        with self._changing:
            fits = (
                len(self._queue) < self._queue_requests
                and self._waiting_rows + rows <= MAX_WAITING_ROWS
                and not self._closing.is_set()
            )
            if fits:
                self._queue.append(_Task(answered, production))
                self._waiting_rows += rows
        if not fits:
            self._comparison.skip()

    def close(self, wait_s: float = 0.0) -> None:
        """Has the thread end, and waits so long for it at most; what waits is skipped."""
        with self._changing:  # so that what is taken in is counted
            self._closing.set()
        if wait_s:
            self._thread.join(wait_s)

    def _run(self) -> None:
        while not self._closing.wait(EVERY_S):
            self._empty()
        while self._next() is not None:
            self._comparison.skip()

    def _empty(self) -> None:
        while not self._closing.is_set():
            task = self._next()
            if task is None:
                return
            self._comparison.begin()
            try:
                self._compare(task)
            except Exception as exc:
                # Whatever onnxruntime raises: nobody waits for this answer.
                logger.debug("the shadow has not scored a request", exc_info=True)
                self._comparison.fail(f"{type(exc).__name__}: {str(exc)[:200]}")

    def _next(self) -> _Task | None:
        with self._changing:
            if not self._queue:
                return None
            task = self._queue.popleft()
            self._waiting_rows -= task.answered.probabilities.size
        return task

    def _compare(self, task: _Task) -> None:
        answered = task.answered
        # Production scores again for its time alone: on the loop, without this thread's company,
        # the same model would look faster.
        began_s = time.perf_counter()
        task.production.probabilities(answered.columns)
        between_s = time.perf_counter()
        shadow = self.model.probabilities(answered.columns)
        ended_s = time.perf_counter()
        production = task.production.facts.threshold
        self._comparison.add(
            answered,
            Side(answered.probabilities, production, between_s - began_s),
            Side(shadow, self.model.facts.threshold, ended_s - between_s),
        )
