"""The stages of a run, in order: ingest, validate, preprocess, train, evaluate.

`dvc repro` and a run started from the panel call these same functions; they differ
in the workspace only.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import TypeAdapter
from pyspark.ml import PipelineModel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from core.adapters.spark_files import SharedFolder, SparkFiles, parts_of
from core.data.batch_files import AT
from core.data.ingest import Providers, ingest
from core.data.labelled import LabelledBatch
from core.data.tables import ROW_ID, check_rows, contract_columns, read_table, write_table
from core.data.validation import validate
from core.errors import ParityError
from core.params import TrainingParams
from core.problems.contract import Problem
from core.scoring.export import export_onnx
from core.scoring.parity import compare, spark_probabilities
from core.scoring.scorer import Scorer
from core.training import evaluation
from core.training.adaptive import Proposers
from core.training.estimators import build_estimator
from core.training.figures import draw_figures
from core.training.fit import FitResult
from core.training.parity_rows import keep_held_back, parity_columns
from core.training.predictions import write_predictions
from core.training.preprocessing import (
    LABEL,
    add_derived,
    column_summaries,
    fit_features,
    join_stages,
)
from core.training.report import ColumnSummary, EvaluationReport, ParityResult
from core.training.search import OutOfFold, search
from core.training.splits import (
    FOLD,
    HOLDOUT_FOLD,
    assign_folds,
    partitions_for,
    pin_partitions,
)
from core.training.weights import feature_weights, weight_kind
from core.training.workspace import Workspace, write_json

LOG = logging.getLogger(__name__)
_COLUMNS = TypeAdapter(tuple[ColumnSummary, ...])
#: Hears the share of the stage that is done, 0 to 1, and what is going on.
OnProgress = Callable[[float, str], None]
#: Executors see the workspace.
SHARED = SharedFolder()


def ingest_stage(
    problem: Problem,
    providers: Providers,
    ws: Workspace,
    batches: Sequence[LabelledBatch] = (),
) -> None:
    """Source, and labelled batches that a retrain learns from -> ``raw.parquet``.

    The inputs of the batches' held-back rows go to a file of their own: the export is compared
    with Spark on them as well, because they will judge it.
    """
    rows = ingest(problem, providers, ws.raw, batches)
    keep_held_back(problem, batches, ws)
    LOG.info("ingested %d rows", rows)


def validate_stage(problem: Problem, ws: Workspace) -> None:
    """``raw.parquet`` -> ``validated.parquet`` and what the soft rules found."""
    checked = validate(read_table(ws.raw), problem.contract)
    write_table(checked.table, ws.validated)
    write_json(ws.validation, [asdict(finding) for finding in checked.findings])


def preprocess_stage(
    spark: SparkSession,
    problem: Problem,
    params: TrainingParams,
    ws: Workspace,
    files: SparkFiles = SHARED,
) -> None:
    """``validated.parquet`` -> holdout and training part with folds and derived features.

    Medians and modes are fitted on the training part only; they are written for people
    to read and fitted again inside every fold.
    """
    spark.sparkContext.setJobDescription("preprocess")
    rows = pq.read_metadata(ws.validated).num_rows
    partitions = partitions_for(rows, params.spark.rows_per_partition)
    source = files.read_frame(spark, ws.validated)
    frame = pin_partitions(add_derived(assign_folds(source, params.split), problem), partitions)
    frame = frame.cache()
    train = frame.where(F.col(FOLD) != HOLDOUT_FOLD)
    holdout = frame.where(F.col(FOLD) == HOLDOUT_FOLD)
    files.write_frame(train, ws.train)
    files.write_frame(holdout, ws.holdout)
    summaries = column_summaries(train, problem, fit_features(train, problem))
    write_json(ws.columns, [s.model_dump(mode="json") for s in summaries])
    frame.unpersist()
    check_rows(ws.train, rows - _rows_in(ws.holdout))


def _rows_in(folder: Path) -> int:
    return sum(pq.read_metadata(path).num_rows for path in parts_of(folder))


def training_frame(
    spark: SparkSession, params: TrainingParams, ws: Workspace, files: SparkFiles = SHARED
) -> DataFrame:
    """The training part as it is fitted on: pinned to its partitions and cached."""
    frame = files.read_frame(spark, ws.train)
    partitions = partitions_for(_rows_in(ws.train), params.spark.rows_per_partition)
    return pin_partitions(frame, partitions).cache()


def train_stage(
    spark: SparkSession,
    problem: Problem,
    params: TrainingParams,
    ws: Workspace,
    on_progress: OnProgress,
    propose: Proposers,
    files: SparkFiles = SHARED,
) -> None:
    """Training part -> the chosen model as ONNX beside Spark's, and the reference.

    Raises:
        ParityError: the export disagrees with Spark by more than the tolerance.
    """
    spark.sparkContext.setJobDescription("read the training rows")
    train = training_frame(spark, params, ws, files)
    result = search(
        train,
        problem,
        params,
        propose,
        on_trial=lambda done, total, best: on_progress(
            0.8 * done / total, f"candidate {done} of {total}, best AUC {best:.3f}"
        ),
    )
    on_progress(0.85, f"fitting {result.best.family} on all training rows")
    spark.sparkContext.setJobDescription(f"{result.best.family}: final fit")
    features = fit_features(train, problem)
    estimator = build_estimator(result.best.family, result.best.params, params.split.seed, features)
    classifier = estimator.fit(features.transform(train))
    model = join_stages(features, classifier)
    files.save_model(model, ws.spark_model)
    onnx = export_onnx(ws.spark_model, problem)
    ws.onnx.parent.mkdir(parents=True, exist_ok=True)
    ws.onnx.write_bytes(onnx)
    on_progress(0.9, "comparing the export with Spark")
    spark.sparkContext.setJobDescription("comparison with the export")
    parity = _parity(spark, model, problem, params, ws, onnx)
    fit = FitResult(
        problem=problem.name,
        family=result.best.family,
        params=result.best.params,
        cv_auc=result.best.mean_auc,
        threshold=evaluation.choose_threshold(
            result.out_of_fold.label,
            result.out_of_fold.probability,
            params.evaluation.threshold_rule,
        ),
        threshold_rule=params.evaluation.threshold_rule,
        train_rows=train.count(),
        weight_kind=weight_kind(result.best.family),
        weights=feature_weights(features, classifier, problem),
        candidates=result.candidates,
        parity=parity,
        onnx_sha256=hashlib.sha256(onnx).hexdigest(),
    )
    write_json(ws.fit, fit)
    _write_reference(ws, problem, result.out_of_fold)
    train.unpersist()


def _parity(
    spark: SparkSession,
    model: PipelineModel,
    problem: Problem,
    params: TrainingParams,
    ws: Workspace,
    onnx: bytes,
) -> ParityResult:
    scorer = Scorer(problem, onnx)
    tolerance = params.evaluation.parity_tolerance
    columns = parity_columns(problem, params, _read_parts(ws.holdout), ws)
    spark_p = spark_probabilities(spark, model, problem, columns)
    parity = compare(spark_p, scorer.probabilities(columns), tolerance)
    LOG.info("parity over %d records: %.2e", parity.rows, parity.max_difference)
    if not parity.max_difference <= tolerance:
        raise ParityError(
            f"The exported model differs from Spark by {parity.max_difference:.2e}, "
            f"more than {tolerance:.0e}; it was not registered.",
            fix="Report this with the run's id: the exporter has a fault.",
        )
    return parity


def _read_parts(folder: Path) -> pa.Table:
    return pa.concat_tables([pq.read_table(path) for path in parts_of(folder)])


def _write_reference(ws: Workspace, problem: Problem, oof: OutOfFold) -> None:
    table = _read_parts(ws.train).sort_by(ROW_ID)
    keep = [ROW_ID, *problem.contract.names, LABEL, FOLD]
    reference = table.select(keep).append_column(
        "probability", pa.array(oof.probability, pa.float64())
    )
    if problem.contract.timestamp is not None:
        moments = table.column(AT).cast(pa.timestamp("us", tz="UTC"))
        reference = reference.append_column(AT, moments)
    if not np.array_equal(table.column(ROW_ID).to_numpy(), oof.row_id):
        raise AssertionError("out-of-fold predictions do not cover the training rows")
    write_table(reference, ws.reference)


def evaluate_stage(problem: Problem, params: TrainingParams, ws: Workspace) -> EvaluationReport:
    """Measures the portable scorer, the one that will serve, on the fixed holdout."""
    fit = FitResult.model_validate_json(ws.fit.read_text(encoding="utf-8"))
    holdout = _read_parts(ws.holdout)
    label = holdout.column(LABEL).to_numpy()
    scorer = Scorer(problem, ws.onnx.read_bytes())
    probability = scorer.probabilities(contract_columns(holdout, problem.contract))
    write_predictions(holdout, probability, problem.contract, ws.predictions)
    chosen = params.evaluation
    report = EvaluationReport(
        problem=problem.name,
        family=fit.family,
        params=fit.params,
        train_rows=fit.train_rows,
        holdout_rows=holdout.num_rows,
        cv_auc=fit.cv_auc,
        threshold=fit.threshold,
        threshold_rule=fit.threshold_rule,
        metrics=evaluation.metrics_with_intervals(
            label,
            probability,
            fit.threshold,
            samples=chosen.bootstrap_samples,
            confidence=chosen.confidence,
            seed=params.split.seed,
        ),
        confidence=chosen.confidence,
        confusion=evaluation.confusion(label, probability, fit.threshold),
        roc=evaluation.roc(label, probability),
        precision_recall=evaluation.precision_recall(label, probability),
        calibration=evaluation.calibration(label, probability),
        weight_kind=fit.weight_kind,
        weights=fit.weights,
        candidates=fit.candidates,
        parity=fit.parity,
        columns=_COLUMNS.validate_python(json.loads(ws.columns.read_text(encoding="utf-8"))),
    )
    write_json(ws.report, report)
    draw_figures(report, ws.figures)
    return report
