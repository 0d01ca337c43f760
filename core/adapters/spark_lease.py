"""Borrows a warm Spark session for a run, or has one started; the run's side of it.

There is one shared session an installation. A run whose plan differs replaces it when it
is idle. While it is busy a run waits, or, where the cluster has cores to spare, gets a
session of its own.
"""

from __future__ import annotations

import logging
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from types import TracebackType
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayActorError, RayError, RayTaskError

from core.adapters.spark_holder import (
    Look,
    OnProgress,
    Outcome,
    SparkHolder,
    SparkPlan,
    SparkWork,
)
from core.adapters.spark_tenancy import Answer
from core.domain import Stage
from core.errors import ResourceError, SparkHungError, TrainingError

LOG = logging.getLogger(__name__)
NAMESPACE = "pilothouse-spark"
SHARED = "shared"
LOOK_S = 0.5
WAIT_S = 0.5
ANSWER_TIMEOUT_S = 60.0
#: A run that was ended has three seconds before Ray kills it.
RELEASE_TIMEOUT_S = 2.0
#: A session that is lost is replaced so many times within one piece of work.
RETRIES = 1


class SparkLease:
    """A session for one owner, as a context manager; started or found in the background.

    Leaving it gives the session back, and ends what still runs in it.
    """

    def __init__(self, owner: str, plan: SparkPlan) -> None:
        self._owner = owner
        self._plan = plan
        self._holder: Any = None
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spark-lease")
        self._taking: Future[Any] | None = None
        self._is_waiting = False
        self._given_up = False
        #: Whether the session had done work before, once it was asked for some.
        self.is_warm = False
        #: How long the session took to start, whoever it was started for.
        self.start_seconds = 0.0

    def __enter__(self) -> SparkLease:
        self._taking = self._pool.submit(self._take)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._given_up = True
        self._pool.shutdown(wait=False)
        if self._taking is not None and self._taking.done() and not self._taking.exception():
            self._holder = self._taking.result()
        if self._holder is not None:
            try:
                ray.get(self._holder.release.remote(self._owner), timeout=RELEASE_TIMEOUT_S)
            except RayError:  # it is gone, or notices by itself that nobody looks any more
                LOG.info("the Spark session could not be given back", exc_info=True)

    def run(self, function: SparkWork, argument: object, on_progress: OnProgress) -> Any:
        """Runs ``function(session, argument, on_progress)`` where the session is.

        ``function`` must give the same when it is begun anew: it is, once, on a fresh
        session, when Spark dies under it.

        Raises:
            ResourceError: Spark did not get what the profile asks for.
            SparkHungError: Spark was lost again, or the time limit passed.
            TrainingError: the work failed; its own typed error where it has one.
        """
        for attempt in range(RETRIES + 1):
            try:
                return self._run_once(function, argument, on_progress)
            except SparkHungError as exc:
                self._discard()
                if attempt == RETRIES or not exc.worth_retrying:
                    raise
                LOG.warning("%s Starting over on a fresh session.", exc.message)
                self._taking = self._pool.submit(self._take)
        raise AssertionError("the last attempt returns or raises")

    def _run_once(self, function: SparkWork, argument: object, on_progress: OnProgress) -> Any:
        self._holder = self._wait_for_session(on_progress)
        self.is_warm = self._look().is_warm
        running = self._holder.work.remote(self._owner, function, argument)
        try:
            while True:
                done, _ = ray.wait([running], timeout=LOOK_S)
                look = self._look()
                if look.hung is not None:
                    raise look.hung
                if done:
                    outcome: Outcome = ray.get(running)
                    break
                if look.progress is not None:
                    note = look.progress
                    on_progress(note.stage, note.share, note.message)
                elif not look.is_ready:
                    on_progress(Stage.START, 0.0, f"profile {self._plan.profile.name}")
        except RayTaskError as exc:
            kind = type(exc.cause).__name__
            raise TrainingError(
                f"The work on Spark stopped with an unexpected {kind}.",
                fix="The run's log has the rest.",
            ) from exc
        except RayError as exc:
            raise SparkHungError(
                "The process that held Spark died.", fix="Start the run again."
            ) from exc
        if outcome.error is not None:
            raise outcome.error
        return outcome.result

    def _wait_for_session(self, on_progress: OnProgress) -> Any:
        if self._taking is None:
            raise AssertionError("a lease is used inside its with statement")
        while True:
            try:
                return self._taking.result(timeout=LOOK_S)
            except TimeoutError:
                waiting = "waiting for another run's Spark" if self._is_waiting else "finding Spark"
                on_progress(Stage.START, 0.0, waiting)

    def _look(self) -> Look:
        look: Look = ray.get(self._holder.look.remote(self._owner), timeout=ANSWER_TIMEOUT_S)
        self.start_seconds = look.start_seconds
        for line in look.lines:
            record = logging.LogRecord(line.name, line.level, "", 0, line.text, None, None)
            record.created = line.created
            logging.getLogger(line.name).handle(record)
        return look

    def _discard(self) -> None:
        if self._holder is not None:
            ray.kill(self._holder)
            self._holder = None

    def _take(self) -> Any:
        deadline = time.monotonic() + self._plan.params.run_timeout_s
        name, plan = SHARED, self._plan
        while time.monotonic() < deadline and not self._given_up:
            holder = _named(name, plan)
            try:
                answer = ray.get(
                    holder.lease.remote(self._owner, plan.key), timeout=ANSWER_TIMEOUT_S
                )
            except (RayActorError, GetTimeoutError) as exc:
                LOG.info("the Spark session found was no longer there: %s", exc)
                ray.kill(holder)
                answer = None
            if answer is Answer.GRANTED:
                return holder
            if answer is Answer.RETIRED:
                ray.kill(holder)
            self._is_waiting = answer is Answer.BUSY
            if self._is_waiting and self._has_cores_to_spare():
                name, plan = self._owner, _for_one_owner(plan)
            time.sleep(WAIT_S)
        raise ResourceError(
            "Spark did not come free in time.", fix="Wait for the other run to end, or cancel it."
        )

    def _has_cores_to_spare(self) -> bool:
        return ray.available_resources().get("CPU", 0.0) >= self._plan.profile.cores


def _for_one_owner(plan: SparkPlan) -> SparkPlan:
    """Nobody else will ask for this session: it ends as soon as it is given back."""
    return replace(plan, params=plan.params.model_copy(update={"idle_minutes": 0.0}))


def _named(name: str, plan: SparkPlan) -> Any:
    """The holder of that name, made if there is none."""
    while True:
        try:
            return (
                ray.remote(SparkHolder)
                .options(
                    name=name,
                    namespace=NAMESPACE,
                    lifetime="detached",
                    get_if_exists=True,
                    num_cpus=0,
                    max_concurrency=8,
                )
                .remote(plan)
            )
        except ValueError:  # the name belongs to one that is just ending
            time.sleep(WAIT_S)
