"""The stages of a run that need Spark, as work for a session that is held elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pyspark.sql import SparkSession

from core.adapters.spark_files import spark_files
from core.adapters.spark_holder import OnProgress
from core.adapters.spark_meter import SparkMeter
from core.bootstrap_engines import propose_by_tpe
from core.domain import Stage
from core.params import TrainingParams
from core.problems import load_problem
from core.settings_store import S3Store
from core.training import pipeline
from core.training.checkpoints import checkpoints
from core.training.usage import Usage
from core.training.workspace import Workspace


@dataclass(frozen=True)
class SparkTask:
    """Which stages to do, for what, and where."""

    problem: str
    #: Packages in which the problem is looked for.
    packages: tuple[str, ...]
    training: TrainingParams
    workspace: Path
    #: Cores of all executors together.
    cores: int
    stages: tuple[Stage, ...] = (Stage.PREPROCESS, Stage.TRAIN)
    #: Through which executors get their data; without one they see the workspace.
    store: S3Store | None = None


def run_stages(spark: SparkSession, task: SparkTask, on_progress: OnProgress) -> Usage | None:
    """Does the task's stages and returns what they cost, where that could be measured."""
    problem = load_problem(task.problem, task.packages)
    ws = Workspace(task.workspace)
    with (
        spark_files(task.store) as files,
        checkpoints(spark, ws.checkpoints if files.is_shared else None),
        SparkMeter(spark) as meter,
    ):
        if Stage.PREPROCESS in task.stages:
            on_progress(Stage.PREPROCESS, 0.0, "")
            with meter.phase(Stage.PREPROCESS.value):
                pipeline.preprocess_stage(spark, problem, task.training, ws, files)
        if Stage.TRAIN in task.stages:
            on_progress(Stage.TRAIN, 0.0, "")
            with meter.phase(Stage.TRAIN.value):
                pipeline.train_stage(
                    spark,
                    problem,
                    task.training,
                    ws,
                    lambda share, message: on_progress(Stage.TRAIN, share, message),
                    propose_by_tpe,
                    files,
                )
    return meter.usage(task.cores)
