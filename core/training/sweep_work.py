"""What one session of a sweep does, as work for a session that is held elsewhere."""

from __future__ import annotations

import logging
import shutil
import time
from dataclasses import dataclass

from pyspark.sql import SparkSession

from core.adapters.spark_files import SparkFiles, spark_files
from core.adapters.spark_holder import OnProgress
from core.adapters.spark_meter import SparkMeter
from core.bootstrap_engines import propose_by_tpe
from core.domain import Stage
from core.errors import TrainingError
from core.problems import load_problem
from core.problems.contract import Problem
from core.training import pipeline
from core.training.adaptive import best_of
from core.training.boosting import boosting_curve
from core.training.checkpoints import checkpoints
from core.training.fit import FitResult
from core.training.sweep import BOOSTED, SessionResult, SessionTask
from core.training.sweep_report import BoostingPoint, SweepMeasurement
from core.training.workspace import Workspace

LOG = logging.getLogger(__name__)
#: Enough that both JVMs have loaded and compiled what a family needs.
WARM_UP_FOLDS, WARM_UP_RECORDS = 2, 1000


@dataclass(frozen=True)
class _Measured:
    value: SweepMeasurement
    fit: FitResult


def measure_session(
    spark: SparkSession, task: SessionTask, on_progress: OnProgress
) -> SessionResult:
    """Searches every family of the task, one after another, each with its bill.

    Raises:
        TrainingError: a measurement has no bill, or a model could not be trained.
    """
    folder = Workspace(task.scratch).checkpoints
    with (
        spark_files(task.store) as files,
        checkpoints(spark, folder if files.is_shared else None),
    ):
        result = _measure_all(spark, task, on_progress, files)
    shutil.rmtree(task.scratch, ignore_errors=True)
    return result


def _measure_all(
    spark: SparkSession, task: SessionTask, on_progress: OnProgress, files: SparkFiles
) -> SessionResult:
    problem = load_problem(task.problem, task.packages)
    steps = len(task.families) + 1 + task.with_boosting
    on_progress(Stage.PREPROCESS, 0.0, f"{task.profile.name}, warming up, {task.turn}")
    _warm_up(spark, problem, task, files)
    measured = []
    for done, family in enumerate(task.families, start=1):
        on_progress(Stage.TRAIN, done / steps, f"{task.profile.name}, {family}, {task.turn}")
        measured.append(_measure(spark, problem, task, family, files))
    boosting: tuple[BoostingPoint, ...] = ()
    if task.with_boosting:
        on_progress(Stage.TRAIN, 1 - 1 / steps, "boosting by depth and iterations")
        best = next(m.fit for m in measured if m.fit.family == BOOSTED)
        boosting = _curve(spark, problem, task, best, files)
    return SessionResult(
        measurements=tuple(m.value for m in measured),
        train_rows=measured[0].fit.train_rows,
        boosting=boosting,
    )


def _workspace(task: SessionTask, name: str) -> Workspace:
    ws = Workspace(task.scratch / name)
    shutil.rmtree(ws.root, ignore_errors=True)
    ws.root.mkdir(parents=True)
    shutil.copy(task.validated, ws.validated)
    return ws


def _warm_up(spark: SparkSession, problem: Problem, task: SessionTask, files: SparkFiles) -> None:
    """One candidate a family on few folds and records, not counted.

    The first work on a session loads classes and is interpreted until the JVMs have
    compiled it; the family that happens to come first would pay for that alone.
    """
    ws, training = _workspace(task, "warm-up"), task.training
    few_folds = training.split.model_copy(update={"folds": WARM_UP_FOLDS})
    few_records = training.evaluation.model_copy(update={"parity_records": WARM_UP_RECORDS})
    changes = {"split": few_folds, "evaluation": few_records}
    pipeline.preprocess_stage(spark, problem, training.model_copy(update=changes), ws, files)
    for family in task.families:
        one = training.search.model_copy(update={"families": (family,), "trials": 1})
        small = training.model_copy(update={**changes, "search": one})
        pipeline.train_stage(spark, problem, small, ws, _silent, propose_by_tpe, files)


def _measure(
    spark: SparkSession, problem: Problem, task: SessionTask, family: str, files: SparkFiles
) -> _Measured:
    ws, profile = _workspace(task, family), task.profile
    alone = task.training.search.model_copy(update={"families": (family,)})
    training = task.training.model_copy(update={"search": alone})
    before = time.perf_counter()
    with SparkMeter(spark) as meter:
        with meter.phase("preprocess"):
            pipeline.preprocess_stage(spark, problem, training, ws, files)
        with meter.phase("train"):
            pipeline.train_stage(spark, problem, training, ws, _silent, propose_by_tpe, files)
        seconds = time.perf_counter() - before
    usage = meter.usage(profile.cores)
    if usage is None:
        raise TrainingError(
            f"What {family} costs on {profile.name} could not be measured.",
            fix="The sweep's log has the reason.",
        )
    fit = FitResult.model_validate_json(ws.fit.read_text(encoding="utf-8"))
    best = best_of(fit.candidates)
    value = SweepMeasurement(
        profile=profile,
        family=family,
        repeat=task.number,
        cv_auc=fit.cv_auc,
        cv_auc_standard_error=best.standard_error if best else None,
        candidates=len(fit.candidates),
        # Only whoever asked for the session knows what its start took.
        start_seconds=0.0,
        seconds=seconds,
        usage=usage,
    )
    LOG.info("%s, %s: AUC %.4f in %.1f s", profile.name, family, value.cv_auc, seconds)
    return _Measured(value, fit)


def _curve(
    spark: SparkSession, problem: Problem, task: SessionTask, best: FitResult, files: SparkFiles
) -> tuple[BoostingPoint, ...]:
    ws = _workspace(task, "boosting")
    pipeline.preprocess_stage(spark, problem, task.training, ws, files)
    train = pipeline.training_frame(spark, task.training, ws, files)
    return boosting_curve(train, problem, task.training, best.params)


def _silent(_share: float, _message: str) -> None:
    """A sweep tells its own steps; candidates would flood them."""
