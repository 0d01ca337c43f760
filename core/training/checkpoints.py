"""Where Spark may cut the history of what a boosted ensemble is made from."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pyspark.sql import SparkSession


@contextmanager
def checkpoints(spark: SparkSession, folder: Path | None) -> Iterator[None]:
    """Lets MLlib write checkpoints below ``folder``, and removes the folder afterwards.

    ``None`` is for executors that share no folder: then there are none.

    Each boosting iteration adds to the lineage of the errors, which the driver serializes
    with every later job. With a folder, MLlib cuts it every ten iterations
    (``checkpointInterval``); without one it cannot. Every executor must see the folder.
    """
    # A session that did other work before may have a folder, so it is told in any case.
    spark.sparkContext.setCheckpointDir(None if folder is None else f"file://{folder}")
    try:
        yield
    finally:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
