"""A Spark session that outlives the run which started it, held by a detached Ray actor.

One piece of work has the session at a time. Whoever has it looks at it twice a second;
one that does not is taken for dead, and what it had running is cancelled.
"""

from __future__ import annotations

import hashlib
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import ray
from py4j.protocol import Py4JError  # type: ignore[import-untyped]
from pyspark.sql import SparkSession

from core.adapters.raydp import start_spark, stop_spark
from core.adapters.spark_tenancy import Answer, Duty, Tenancy
from core.adapters.spark_watch import SparkWatch
from core.domain import Stage
from core.errors import PilothouseError, SparkHungError
from core.params import Profile, SparkParams
from core.settings import silence_vendors

LOG = logging.getLogger(__name__)
POLL_S = 0.5
STOP_TIMEOUT_S = 15.0
#: Log records kept for an owner between two looks.
MAX_RECORDS = 2000

#: Hears the stage, the share of it that is done, 0 to 1, and what is going on.
OnProgress = Callable[[Stage, float, str], None]
#: What a session is asked to do; named by import, so that any process knows it.
SparkWork = Callable[[SparkSession, Any, OnProgress], Any]


@dataclass(frozen=True)
class SparkPlan:
    """What a session is: one made for an equal plan serves as well as a new one."""

    profile: Profile
    params: SparkParams
    #: Digest of the code that runs in it.
    code: str

    @property
    def key(self) -> str:
        """Equal for plans that can share a session."""
        profile = self.profile.model_dump(exclude={"name"})
        made_of = [sorted(profile.items()), sorted(self.params.model_dump().items()), self.code]
        return hashlib.sha256(repr(made_of).encode()).hexdigest()


@dataclass(frozen=True)
class ProgressNote:
    """The last word of the work that is going on."""

    stage: Stage
    share: float
    message: str


@dataclass(frozen=True)
class LogLine:
    """One log record, without what cannot travel."""

    name: str
    level: int
    created: float
    text: str


@dataclass(frozen=True)
class Look:
    """What an owner learns from a look at its session."""

    is_ready: bool
    #: Whether the session has done work before.
    is_warm: bool
    #: How long the session took to start; 0 while it is starting.
    start_seconds: float
    progress: ProgressNote | None
    lines: tuple[LogLine, ...]
    hung: SparkHungError | None


@dataclass(frozen=True)
class Outcome:
    """What became of a piece of work: its result, or the failure to be raised."""

    result: Any
    error: PilothouseError | None


class _CancelledError(Exception):
    """Raised inside work that nobody waits for any more."""


class SparkHolder:
    """The actor. Its methods run on threads of their own, beside the work."""

    def __init__(self, plan: SparkPlan) -> None:
        silence_vendors()
        self._plan = plan
        self._tenancy = Tenancy(plan.key, plan.params.idle_minutes * 60, time.monotonic())
        self._ready = threading.Event()
        self._session: SparkSession | None = None
        self._start_seconds = 0.0
        self._failure: PilothouseError | None = None
        self._hung: SparkHungError | None = None
        self._is_warm = False
        self._progress: ProgressNote | None = None
        self._lines: deque[LogLine] = deque(maxlen=MAX_RECORDS)
        logger = logging.getLogger("core")
        logger.setLevel(logging.INFO)
        logger.addHandler(_Collector(self._lines))
        self._watch = SparkWatch(plan.params, self._on_hang)
        for target in (self._start, self._keep_house):
            threading.Thread(target=target, daemon=True).start()

    def _start(self) -> None:
        began = time.monotonic()
        self._watch.start()
        try:
            self._session = start_spark("pilothouse", self._plan.profile, self._plan.params)
            self._watch.session_started(self._session)
        except PilothouseError as exc:
            LOG.exception("Spark does not start")
            self._failure = exc
            self._tenancy.lose()
        self._start_seconds = time.monotonic() - began
        self._ready.set()

    def _on_hang(self, error: SparkHungError) -> None:
        self._hung = error
        self._tenancy.lose()
        self._ready.set()

    def lease(self, owner: str, key: str) -> Answer:
        """Gives the session to ``owner``, if it is free and made for such a plan."""
        answer = self._tenancy.lease(owner, key, time.monotonic())
        if answer is Answer.GRANTED:
            self._lines.clear()
        return answer

    def look(self, owner: str) -> Look:
        """What is going on; also the sign that the owner is alive."""
        self._tenancy.look(owner, time.monotonic())
        lines = []
        while self._lines:
            lines.append(self._lines.popleft())
        return Look(
            is_ready=self._ready.is_set(),
            is_warm=self._is_warm,
            start_seconds=self._start_seconds,
            progress=self._progress,
            lines=tuple(lines),
            hung=self._hung,
        )

    def work(self, owner: str, function: SparkWork, argument: object) -> Outcome:
        """Runs ``function`` with the session; returns what it returned or its failure.

        Failures that are not expected ones are raised, and reach the owner through Ray.
        """
        self._ready.wait()
        error = self._failure or self._hung
        if error is not None or self._session is None:
            return Outcome(None, error)
        self._tenancy.begin_work(owner)
        self._watch.work_begins()
        try:
            return Outcome(function(self._session, argument, self._report), None)
        except PilothouseError as exc:
            LOG.exception("the work on Spark failed")
            return Outcome(None, exc)
        except Exception:
            LOG.exception("the work on Spark failed")
            lost = self._hung or self._watch.what_is_wrong()
            if lost is None:
                raise
            return Outcome(None, lost)
        finally:
            self._watch.work_ends()
            self._progress, self._is_warm = None, True
            # A cache that outlives its work would be the next one's loss.
            with suppress(Py4JError, OSError):
                self._session.catalog.clearCache()
            self._tenancy.end_work()

    def _report(self, stage: Stage, share: float, message: str) -> None:
        if self._tenancy.is_cancelled:
            raise _CancelledError
        self._progress = ProgressNote(stage, share, message)

    def release(self, owner: str) -> None:
        """Takes the session back, ending what its owner left running."""
        self._tenancy.release(owner, time.monotonic())

    def _keep_house(self) -> None:
        while True:
            time.sleep(POLL_S)
            duty = self._tenancy.duty(time.monotonic())
            if duty is Duty.CLOSE:
                self._close()
                return
            if duty is Duty.CANCEL and self._session is not None:
                # More than once: the work may be between two jobs.
                self._session.sparkContext.cancelAllJobs()

    def _close(self) -> None:
        self._watch.stop()
        stopping = threading.Thread(target=stop_spark, daemon=True)
        if self._hung is None:
            stopping.start()
            stopping.join(STOP_TIMEOUT_S)
        try:
            ray.kill(ray.get_runtime_context().current_actor)
        finally:
            # Not reached where Ray obeys; a session without its holder would stay for ever.
            time.sleep(STOP_TIMEOUT_S)
            os._exit(1)


class _Collector(logging.Handler):
    """Keeps log records as plain values, for the log of the run they belong to."""

    def __init__(self, lines: deque[LogLine]) -> None:
        super().__init__(logging.INFO)
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record)
        self._lines.append(LogLine(record.name, record.levelno, record.created, text))
