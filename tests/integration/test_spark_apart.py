"""Executors that see nothing of the home, as on nodes without a file system in common."""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyspark
import pytest
from py4j.protocol import Py4JJavaError
from pyspark.sql import SparkSession

from core.adapters.spark_files import SharedFolder, spark_files
from core.bootstrap import PROVIDERS
from core.bootstrap_engines import propose_by_tpe
from core.errors import RowCountError
from core.settings import CODE_ROOT
from core.training import pipeline
from core.training.checkpoints import checkpoints
from core.training.workspace import Workspace
from tests.integration.test_export_parity import pytestmark as filters
from tests.integration.test_spark_in_store import PARAMS, SMALL
from tests.s3 import S3Server

#: An executor is started in a mount namespace where the hidden folder is an empty disk.
JAVA = """#!/bin/sh
case "$*" in
*CoarseGrainedExecutorBackend*)
  exec unshare --mount sh -c 'mount -t tmpfs none "{hidden}" && exec "{java}" "$@"' sh "$@" ;;
esac
exec "{java}" "$@"
"""


def _may_mount() -> bool:
    tried = ["unshare", "--mount", "mount", "-t", "tmpfs", "none", tempfile.gettempdir()]
    unshare = shutil.which("unshare")
    return unshare is not None and subprocess.run(tried, check=False).returncode == 0


pytestmark = [
    *filters,
    pytest.mark.long,
    pytest.mark.skipif(not _may_mount(), reason="disks of their own take root"),
]


@dataclass(frozen=True)
class Apart:
    spark: SparkSession
    #: A folder that the driver and every executor see another one of.
    hidden: Path


@pytest.fixture(scope="module")
def apart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Apart]:
    """A session with two executors, each with a disk of its own."""
    base = tmp_path_factory.mktemp("apart")
    hidden, home, java = base / "hidden", base / "spark", base / "java" / "bin" / "java"
    hidden.mkdir()
    # Workers keep their logs below Spark's home.
    home.mkdir()
    for entry in Path(pyspark.__file__).parent.iterdir():
        (home / entry.name).symlink_to(entry)
    real = Path(os.environ.get("JAVA_HOME", "")) / "bin" / "java"
    found = real if real.exists() else Path(str(shutil.which("java"))).resolve()
    java.parent.mkdir(parents=True)
    java.write_text(JAVA.format(hidden=hidden, java=found))
    java.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        packages = ("java.lang", "java.lang.invoke", "java.nio", "java.util", "sun.nio.ch")
        opens = " ".join(f"--add-opens=java.base/{name}=ALL-UNNAMED" for name in packages)
        patch.setenv("JDK_JAVA_OPTIONS", opens)
        patch.setenv("PYSPARK_PYTHON", sys.executable)
        patch.setenv("SPARK_HOME", str(home))
        patch.setenv("JAVA_HOME", str(java.parent.parent))
        # Where the driver gathers a model is on its own disk as well.
        patch.setattr(tempfile, "tempdir", str(hidden))
        session = (
            SparkSession.builder.master("local-cluster[2,1,768]")
            .config("spark.executor.memory", "768m")
            .config("spark.executorEnv.PYTHONPATH", str(CODE_ROOT))
            .config("spark.driver.host", "127.0.0.1")
            .config("spark.driver.bindAddress", "127.0.0.1")
            .config("spark.ui.enabled", "false")
            .config("spark.sql.shuffle.partitions", "2")
            .getOrCreate()
        )
        session.sparkContext.setLogLevel("ERROR")
        yield Apart(session, hidden)
        session.stop()
        gc.collect()


@pytest.mark.timeout(120)
def test_a_folder_is_not_enough(apart: Apart) -> None:
    frame = apart.spark.range(0, 100, 1, 4)
    with pytest.raises((RowCountError, Py4JJavaError)):
        SharedFolder().write_frame(frame, apart.hidden / "out")


@pytest.mark.timeout(600)
def test_a_run_through_the_store_needs_no_folder_in_common(apart: Apart, s3: S3Server) -> None:
    ws = Workspace(apart.hidden / "run")
    pipeline.ingest_stage(SMALL, PROVIDERS, ws)
    pipeline.validate_stage(SMALL, ws)
    with spark_files(s3.create_bucket("apart")) as files, checkpoints(apart.spark, None):
        pipeline.preprocess_stage(apart.spark, SMALL, PARAMS, ws, files)
        # It compares the model that was gathered with the one in memory.
        pipeline.train_stage(apart.spark, SMALL, PARAMS, ws, lambda *_: None, propose_by_tpe, files)
    report = pipeline.evaluate_stage(SMALL, PARAMS, ws)
    assert report.holdout_rows + report.train_rows == 891
    assert not list(apart.hidden.glob("pilothouse-model-*"))
