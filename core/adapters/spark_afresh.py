"""Sessions one after another in one process, none of which knows the one before."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pyspark import SparkContext
from pyspark.sql import SparkSession

from core.adapters.raydp import is_app_master_alive, spark_on_ray
from core.errors import SparkHungError
from core.params import Profile, SparkParams

END_TIMEOUT_S = 30.0
POLL_S = 0.2


@contextmanager
def spark_afresh(
    name: str,
    profile: Profile,
    params: SparkParams,
    on_hang: Callable[[SparkHungError], None],
) -> Iterator[SparkSession]:
    """A Spark session on Ray as ``spark_on_ray`` gives it, with a driver of its own.

    PySpark keeps the driver's JVM for the next session of the process, with the code it
    has compiled and the memory it has taken. What is measured here must not depend on
    what was measured before, so the JVM ends with its session.

    Raises:
        ResourceError: Spark did not get its executors in time.
        SparkHungError: the session's processes do not end.
    """
    try:
        with spark_on_ray(name, profile, params, on_hang) as spark:
            yield spark
    finally:
        _end_driver()
    _wait_for_master()


def _end_driver() -> None:
    gateway = SparkContext._gateway
    SparkContext._gateway = SparkContext._jvm = None
    if gateway is None:
        return
    gateway.shutdown()
    # The JVM ends when its standard input does: so it was started.
    process: subprocess.Popen[bytes] = gateway.proc
    if process.stdin is not None:
        process.stdin.close()
    try:
        process.wait(END_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _wait_for_master() -> None:
    """A name on Ray is free some moments after its actor has ended."""
    deadline = time.monotonic() + END_TIMEOUT_S
    while is_app_master_alive():
        if time.monotonic() > deadline:
            raise SparkHungError(
                "Spark's master on Ray does not end.", fix="Run `make down up` and try again."
            )
        time.sleep(POLL_S)
