"""Spark on Ray through RayDP: joining Ray, starting and stopping a session."""

from __future__ import annotations

import time
from dataclasses import dataclass

import ray
import raydp
from pyspark.sql import SparkSession

from core.adapters.spark_configs import JAVA_OPTIONS, session_configs
from core.errors import ResourceError, UnavailableError
from core.params import Profile, SparkParams

APP_MASTER = "RAY_APP_MASTER"
#: How long the name of an earlier session's master may take to come free.
NAME_TIMEOUT_S = 30.0
NAME_POLL_S = 0.2


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


def start_spark(name: str, profile: Profile, params: SparkParams) -> SparkSession:
    """Starts Spark with a profile's resources; a process holds one session at a time.

    Raises:
        ResourceError: Spark did not get what the profile asks for.
    """
    _wait_for_name()
    here = ray.util.get_node_ip_address()
    try:
        session: SparkSession = raydp.init_spark(
            app_name=name,
            num_executors=profile.executors,
            executor_cores=profile.cores_per_executor,
            executor_memory=f"{profile.memory_mb_per_executor}M",
            fault_tolerant_mode=True,
            placement_group_strategy=_spread(),
            configs={
                **session_configs(profile.cores),
                # Executors on other nodes connect to it.
                "spark.driver.host": here,
                "spark.driver.bindAddress": here,
                "spark.driver.memory": f"{params.driver_memory_mb}m",
                "spark.executor.extraJavaOptions": JAVA_OPTIONS,
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


def _spread() -> str | None:
    """How executors are dealt to nodes: over several as far as they go, on one as they come.

    Ray itself would fill a node first, and all of a run would hang on it.
    """
    alive = [node for node in ray.nodes() if node["Alive"]]
    return "SPREAD" if len(alive) > 1 else None


def stop_spark() -> None:
    """Stops this process's session, if it has one."""
    raydp.stop_spark()


def _wait_for_name() -> None:
    """RayDP's names are fixed within a namespace; a session that was killed frees them late."""
    deadline = time.monotonic() + NAME_TIMEOUT_S
    while APP_MASTER in ray.util.list_named_actors():
        if time.monotonic() > deadline:
            raise ResourceError(
                "The Spark session before this one has not ended.", fix="Start the run again."
            )
        time.sleep(NAME_POLL_S)
