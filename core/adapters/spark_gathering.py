"""Brings a saved model together from the disks of executors that share no folder."""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pyspark import BarrierTaskContext, SparkContext
from pyspark.ml import PipelineModel

from core.errors import TrainingError

#: 1 moves files where the driver is, 2 where the task is that has written them.
_COMMIT = "mapreduce.fileoutputcommitter.algorithm.version"
#: What Spark has in a folder while it writes.
_UNFINISHED = "_temporary"


def gather_model(model: PipelineModel, folder: Path) -> None:
    """Saves a fitted pipeline to ``folder`` of this machine, wherever its executors are.

    Spark saves a model by tasks, each on the disk of its node. So it saves to a scratch folder,
    which is another one on every node, and then one task on every slot of the session at once
    hands over what it finds there.

    Raises:
        TrainingError: files are missing that Spark has told it has written.
    """
    context = SparkContext.getOrCreate()
    scratch = Path(tempfile.gettempdir()) / f"pilothouse-model-{uuid.uuid4().hex}"
    try:
        with _committed_by_tasks(context):
            model.write().overwrite().save(f"file://{scratch}")
        slots = _slots(context)
        spread = context.parallelize(range(slots), slots)
        found = dict(spread.barrier().mapPartitions(lambda _: _hand_over(scratch)).collect())
        found |= dict(_files(scratch))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    _require_whole(found)
    shutil.rmtree(folder, ignore_errors=True)
    for name, content in found.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


def _hand_over(scratch: Path) -> Iterator[tuple[str, bytes]]:
    """On an executor: what lies in its scratch folder, which is removed when all have read."""
    found = _files(scratch)
    BarrierTaskContext.get().barrier()
    shutil.rmtree(scratch, ignore_errors=True)
    return iter(found)


def _files(scratch: Path) -> list[tuple[str, bytes]]:
    found = []
    for folder, folders, names in os.walk(scratch):
        folders[:] = [name for name in folders if name != _UNFINISHED]
        paths = (Path(folder) / name for name in names)
        found += [(path.relative_to(scratch).as_posix(), path.read_bytes()) for path in paths]
    return found


def _require_whole(found: dict[str, bytes]) -> None:
    """Every folder that Spark calls a success has a part; an executor may have died since."""
    done = {Path(name).parent for name in found if Path(name).name == "_SUCCESS"}
    parts = {Path(name).parent for name in found if Path(name).name.startswith("part-")}
    if not done or done - parts:
        raise TrainingError(
            "The fitted model could not be fetched from Spark's executors.",
            fix="Start the run again; if an executor died, the log says so.",
        )


@contextmanager
def _committed_by_tasks(context: SparkContext) -> Iterator[None]:
    options = context._jsc.hadoopConfiguration()
    before = options.get(_COMMIT)
    options.set(_COMMIT, "2")
    try:
        yield
    finally:
        if before is None:
            options.unset(_COMMIT)
        else:
            options.set(_COMMIT, before)


def _slots(context: SparkContext) -> int:
    """Tasks that the session can do at once: with so many there is one on each of its slots."""
    scala = context._jsc.sc()
    profile = scala.resourceProfileManager().defaultResourceProfile()
    return int(scala.maxNumConcurrentTasks(profile))
