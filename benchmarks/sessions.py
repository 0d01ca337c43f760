"""Spark sessions to measure in: inside this process, or on a private Ray."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from pyspark.sql import SparkSession

from core.adapters.ray_token import keep_token
from core.adapters.raydp import RayConnection, connect_ray, start_spark, stop_spark
from core.params import Profile, SparkParams
from core.settings import load_settings


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
    if (token := load_settings().ray_token_file) is not None:
        keep_token(token)
    connect_ray(RayConnection("local", "benchmark"))
    try:
        yield start_spark("benchmark", profile, params)
    finally:
        stop_spark()
