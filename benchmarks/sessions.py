"""Spark sessions to measure in: inside this process, or on a private Ray."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from pyspark.sql import SparkSession

from core.adapters.raydp import RayConnection, connect_ray, spark_on_ray
from core.errors import PilothouseError
from core.params import Profile, SparkParams
from core.training.job import HANG_EXIT_CODE

LOG = logging.getLogger(__name__)


@contextmanager
def local_spark(master: str, configs: Mapping[str, str]) -> Iterator[SparkSession]:
    """A session with nothing set but ``configs``."""
    builder = SparkSession.builder.master(master)
    for name, value in configs.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    try:
        yield session
    finally:
        session.stop()


@contextmanager
def ray_spark(profile: Profile, params: SparkParams) -> Iterator[SparkSession]:
    """A session through RayDP, on a Ray that lives as long as this process."""

    def end(error: PilothouseError) -> None:
        LOG.error("%s", error)
        logging.shutdown()
        os._exit(HANG_EXIT_CODE)

    connect_ray(RayConnection("local", "benchmark"))
    with spark_on_ray("benchmark", profile, params, end) as session:
        yield session
