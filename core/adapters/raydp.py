"""Spark on Ray through RayDP: one session for the time of a run, watched."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import ray
import raydp
from pyspark.sql import SparkSession
from ray.util.state import list_actors

from core.adapters.spark_configs import session_configs
from core.errors import ResourceError, SparkHungError, UnavailableError
from core.params import Profile, SparkParams

LOG = logging.getLogger(__name__)
APP_MASTER = "RAY_APP_MASTER"
EXECUTOR = "raydp-executor"
POLL_S = 2.0
REFRESH_S = 5.0
#: A beat that misses the executors may fall between a death and Ray's restart.
EXECUTOR_GRACE_S = 30.0


@dataclass(frozen=True)
class RayConnection:
    """How a driver joins a cluster. ``address`` ``auto`` is the one this process runs in."""

    address: str
    namespace: str


def connect_ray(connection: RayConnection) -> None:
    """Joins a running cluster, or does nothing when this process has joined one.

    Raises:
        UnavailableError: there is no cluster at the address.
    """
    if ray.is_initialized():
        return
    try:
        ray.init(
            address=connection.address,
            namespace=connection.namespace,
            log_to_driver=False,
            configure_logging=False,
        )
    except (ConnectionError, RuntimeError, ValueError) as exc:
        raise UnavailableError("Ray does not answer.", fix="Run `make up`.") from exc


@contextmanager
def spark_on_ray(
    name: str,
    profile: Profile,
    params: SparkParams,
    on_hang: Callable[[SparkHungError], None],
) -> Iterator[SparkSession]:
    """A Spark session on Ray with a profile's resources, under a watchdog.

    When Spark hangs its driver never returns, so nothing can be raised where the work
    waits: ``on_hang`` runs on the watchdog's thread and has to end the process.

    Raises:
        ResourceError: Spark did not get its executors in time.
    """
    watchdog = _Watchdog(params, on_hang)
    watchdog.start()
    try:
        session = _start(name, profile, params)
        watchdog.session_started(session)
        yield session
    finally:
        watchdog.stop()
        raydp.stop_spark()


def _start(name: str, profile: Profile, params: SparkParams) -> SparkSession:
    try:
        session: SparkSession = raydp.init_spark(
            app_name=name,
            num_executors=profile.executors,
            executor_cores=profile.cores_per_executor,
            executor_memory=f"{profile.memory_mb_per_executor}M",
            fault_tolerant_mode=True,
            configs={
                **session_configs(profile.cores),
                "spark.driver.memory": f"{params.driver_memory_mb}m",
                "spark.executor.extraJavaOptions": "-XX:+UseSerialGC",
                "spark.ray.raydp_app_master.actor.resource.CPU": "0",
            },
        )
    except Exception as exc:  # py4j, Ray and RayDP each raise their own kinds
        raise ResourceError(
            f"Spark could not start with profile {profile.name}: {type(exc).__name__}.",
            fix="Choose a smaller profile, or look at Ray's dashboard for what is taken.",
        ) from exc
    session.sparkContext.setLogLevel("ERROR")
    return session


class SparkProcesses:
    """Process ids of a session's JVMs on this node.

    Ray is asked every few seconds at most: executors rarely come and go.
    """

    def __init__(self, session: SparkSession) -> None:
        self.driver = int(session.sparkContext._jvm.java.lang.ProcessHandle.current().pid())
        self._executors: tuple[int, ...] = ()
        self._asked_at = -REFRESH_S

    def executors(self) -> tuple[int, ...]:
        """Executors that are alive."""
        if time.monotonic() - self._asked_at >= REFRESH_S:
            context = ray.get_runtime_context()
            actors = list_actors(
                detail=True,
                filters=[
                    ("state", "=", "ALIVE"),
                    ("ray_namespace", "=", context.namespace),
                    ("node_id", "=", context.get_node_id()),
                ],
            )
            named = [actor for actor in actors if (actor.name or "").startswith(EXECUTOR)]
            self._executors = tuple(int(actor.pid) for actor in named if actor.pid)
            self._asked_at = time.monotonic()
        return self._executors


class _Watchdog(threading.Thread):
    """Ends a run whose Spark cannot come back.

    Three signs: the app master's actor is gone, no executor is left for longer than
    Ray needs to restart one, or nothing finished for ``stall_timeout_s`` while jobs
    are active. A limit for the whole run stands above them.
    """

    def __init__(self, params: SparkParams, on_hang: Callable[[SparkHungError], None]) -> None:
        super().__init__(name="spark-watchdog", daemon=True)
        self._params = params
        self._on_hang = on_hang
        self._done = threading.Event()
        self._session: SparkSession | None = None
        self._started_at = time.monotonic()
        self._moved_at = self._started_at
        self._executors_at = self._started_at
        self._last_count = -1

    def session_started(self, session: SparkSession) -> None:
        """From now on the session's executors and tasks are watched too."""
        now = time.monotonic()
        self._moved_at = self._executors_at = now
        self._session = session

    def stop(self) -> None:
        """Ends the watch."""
        self._done.set()

    def run(self) -> None:
        """Looks every few seconds until stopped or until something is wrong."""
        while not self._done.wait(POLL_S):
            reason = self._what_is_wrong()
            if reason and not self._done.is_set():
                LOG.error("watchdog: %s", reason)
                self._on_hang(
                    SparkHungError(reason, fix="Start the run again; Spark starts afresh.")
                )
                return

    def _what_is_wrong(self) -> str | None:
        now = time.monotonic()
        if now - self._started_at > self._params.run_timeout_s:
            return f"The run took longer than its limit of {self._params.run_timeout_s:.0f} s."
        if self._session is None:
            if now - self._started_at > self._params.start_timeout_s:
                return f"Spark did not start within {self._params.start_timeout_s:.0f} s."
            return None
        if not _app_master_alive():
            return "Spark's master on Ray died."
        return self._stalled(self._session, now)

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
