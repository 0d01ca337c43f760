"""Notices when a Spark session on Ray cannot come back: its driver would wait for ever."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

import ray
from py4j.protocol import Py4JError  # type: ignore[import-untyped]
from pyspark.sql import SparkSession

from core.adapters.raydp import APP_MASTER
from core.errors import SparkHungError
from core.params import SparkParams

LOG = logging.getLogger(__name__)
POLL_S = 2.0
#: A beat that misses the executors may fall between a death and Ray's restart.
EXECUTOR_GRACE_S = 30.0
_FIX = "Start the run again; Spark starts afresh."


class SparkWatch(threading.Thread):
    """Watches one session from before its start until it is stopped.

    Signs that it is lost: it did not start in time, the app master's actor is gone, no
    executor is left for longer than Ray needs to restart one, or nothing finished for
    ``stall_timeout_s`` while jobs are active. A limit for the time of one piece of work
    stands above them. Nothing can be raised where the work waits inside py4j, so
    ``on_hang`` hears of it, once, on this thread.
    """

    def __init__(self, params: SparkParams, on_hang: Callable[[SparkHungError], None]) -> None:
        super().__init__(name="spark-watch", daemon=True)
        self._params = params
        self._on_hang = on_hang
        self._done = threading.Event()
        self._session: SparkSession | None = None
        self._began_at: float | None = None
        self._created_at = self._moved_at = self._executors_at = time.monotonic()
        self._last_count = -1

    def session_started(self, session: SparkSession) -> None:
        """From now on the session's executors and tasks are watched too."""
        self._moved_at = self._executors_at = time.monotonic()
        self._session = session

    def work_begins(self) -> None:
        """From now on the time limit counts."""
        self._began_at = self._moved_at = time.monotonic()

    def work_ends(self) -> None:
        """An idle session may take its time."""
        self._began_at = None

    def stop(self) -> None:
        """Ends the watch."""
        self._done.set()

    def run(self) -> None:
        """Looks every few seconds until stopped or until something is wrong."""
        while not self._done.wait(POLL_S):
            error = self.what_is_wrong()
            if error is not None and not self._done.is_set():
                LOG.error("watchdog: %s", error)
                self._on_hang(error)
                return

    def what_is_wrong(self) -> SparkHungError | None:
        """The sign seen now that the session is lost, if there is one."""
        now = time.monotonic()
        limit_s = self._params.run_timeout_s
        if self._began_at is not None and now - self._began_at > limit_s:
            return SparkHungError(
                f"The run took longer than its limit of {limit_s:.0f} s.",
                fix="Raise training.spark.run_timeout_s, or try fewer candidates.",
                worth_retrying=False,
            )
        if self._session is None:
            if now - self._created_at <= self._params.start_timeout_s:
                return None
            return SparkHungError(
                f"Spark did not start within {self._params.start_timeout_s:.0f} s.", fix=_FIX
            )
        if not _app_master_alive():
            return SparkHungError("Spark's master on Ray died.", fix=_FIX)
        try:
            reason = self._stalled(self._session, now)
        except (Py4JError, OSError):
            LOG.warning("watchdog: the driver does not answer", exc_info=True)
            reason = "Spark's driver died."
        return SparkHungError(reason, fix=_FIX) if reason else None

    def _stalled(self, session: SparkSession, now: float) -> str | None:
        store = session.sparkContext._jsc.sc().statusStore()
        executors = finished = active = 0
        summaries = store.executorList(True)
        for index in range(summaries.size()):
            summary = summaries.apply(index)
            if summary.id() != "driver":
                executors += 1
            finished += summary.completedTasks()
            active += summary.activeTasks()
        if executors:
            self._executors_at = now
        if finished != self._last_count or not active:
            self._last_count = finished
            self._moved_at = now
        if now - self._executors_at > EXECUTOR_GRACE_S:
            return f"Spark has had no executor for {EXECUTOR_GRACE_S:.0f} s."
        if now - self._moved_at > self._params.stall_timeout_s:
            return f"No Spark task finished for {self._params.stall_timeout_s:.0f} s."
        return None


def _app_master_alive() -> bool:
    """Whether the Java actor that hands out executors still has its name."""
    try:
        names = ray.util.list_named_actors()
    except Exception:  # an unreachable cluster is for Ray itself to report
        LOG.warning("watchdog: Ray does not list its actors", exc_info=True)
        return True
    return APP_MASTER in names
