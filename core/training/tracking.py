"""Puts a finished workspace into MLflow: the run with everything, then the version."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from core.adapters.mlflow import RunTracker
from core.adapters.mlflow_registry import ModelRegistry
from core.data.labelled import LabelledBatch
from core.data.tables import file_md5
from core.problems.contract import Problem
from core.scoring.bundle import BundleFacts
from core.training.provenance import Provenance
from core.training.report import Candidate, EvaluationReport
from core.training.usage import Usage
from core.training.workspace import Workspace, write_json

REPORT_FILE = "report/report.json"
PREDICTIONS_FILE = "report/predictions.parquet"
BATCHES_FILE = "data/batches.json"
USAGE_FILE = "resources/usage.json"
#: What is logged over time, under the names of a ``UsagePoint``.
COURSES = ("driver_cores", "executor_cores", "driver_rss_mb", "executor_rss_mb")


def track_run(
    tracker: RunTracker,
    run_id: str,
    problem: Problem,
    report: EvaluationReport,
    ws: Workspace,
    provenance: Provenance,
) -> BundleFacts:
    """Logs parameters, metrics, candidates, data version, environment and all artifacts."""
    data_version = f"md5:{file_md5(ws.raw)}"
    metrics = {name: estimate.value for name, estimate in report.metrics.items()}
    metrics |= {"cv_auc": report.cv_auc, "parity_max_difference": report.parity.max_difference}
    chosen = {f"model.{key}": value for key, value in report.params.items()}
    tracker.log(run_id, {"family": report.family, **chosen}, metrics | _intervals(report))
    for candidate in report.candidates:
        tracker.log_candidate(
            report.problem,
            run_id,
            f"{candidate.index:03d}-{candidate.family}",
            {"family": candidate.family, **candidate.params},
            _candidate_metrics(candidate),
            candidate.fold_auc,
        )
    tracker.log_files(run_id, ws.report, "report")
    tracker.log_files(run_id, ws.predictions, "report")
    tracker.log_files(run_id, ws.figures, "report/figures")
    tracker.log_files(run_id, ws.reference, "reference")
    tracker.log_files(run_id, ws.columns, "data")
    tracker.log_files(run_id, ws.validation, "data")
    tracker.tag(
        run_id,
        {
            "data_version": data_version,
            "git_commit": provenance.git_commit,
            "code_digest": provenance.code_digest,
            "family": report.family,
            "environment": json.dumps(dict(provenance.environment)),
            **({"data_file": provenance.data_file} if provenance.data_file else {}),
        },
    )
    onnx = ws.onnx.read_bytes()
    return BundleFacts(
        problem=report.problem,
        contract_fingerprint=problem.contract.fingerprint(),
        family=report.family,
        threshold=report.threshold,
        run_id=run_id,
        data_version=data_version,
        git_commit=provenance.git_commit,
        metrics=metrics,
        model_sha256=hashlib.sha256(onnx).hexdigest(),
    )


def track_batches(
    tracker: RunTracker, run_id: str, batches: Sequence[LabelledBatch], ws: Workspace
) -> None:
    """Logs which batches a run learns from and how many of their rows, if there are any."""
    if batches:
        write_json(ws.batches, [{"id": b.id, "rows": b.trainable.num_rows} for b in batches])
        tracker.log_files(run_id, ws.batches, "data")


def learned_rows(tracker: RunTracker, run_id: str) -> dict[str, int]:
    """Id of each batch that a run learned from -> how many of its rows.

    Raises:
        NotFoundError: it learned from none, or has not read them yet, or was deleted.
    """
    with tempfile.TemporaryDirectory() as scratch:
        text = tracker.read_file(run_id, BATCHES_FILE, Path(scratch))
    return {entry["id"]: int(entry["rows"]) for entry in json.loads(text)}


def _candidate_metrics(candidate: Candidate) -> dict[str, float]:
    metrics = {"cv_auc": candidate.mean_auc, "seconds": candidate.seconds}
    if candidate.standard_error is not None:
        metrics["cv_auc_standard_error"] = candidate.standard_error
    if candidate.done_s is not None:
        metrics["done_seconds"] = candidate.done_s
    return {**metrics, "pruned": float(candidate.pruned)}


def track_resources(tracker: RunTracker, run_id: str, usage: Usage, ws: Workspace) -> None:
    """Logs what Spark cost: totals as metrics, the course of it as their history, all as a file."""
    write_json(ws.usage, usage)
    tracker.log_files(run_id, ws.usage, "resources")
    phases: dict[str, float] = defaultdict(float)
    for phase in usage.phases:
        phases[f"phase.{phase.name}_seconds"] += phase.end_s - phase.begin_s
    totals = {
        "spark_wall_seconds": usage.wall_s,
        "core_seconds": usage.core_seconds,
        "peak_rss_mb": usage.peak_rss_mb,
        "mean_utilization": usage.mean_utilization,
        "gc_share": usage.gc_share,
        "task_seconds": usage.task_s,
        "shuffle_mb": usage.shuffle_mb,
        "spilled_mb": usage.spilled_mb,
        "peak_execution_memory_mb": usage.peak_execution_memory_mb,
    }
    tracker.log(run_id, {}, totals | phases)
    courses = {name: [getattr(point, name) for point in usage.points] for name in COURSES}
    tags = {}
    for number, one in enumerate(usage.executors, start=1):
        courses[f"executor.{number}.cores"] = list(one.cores)
        courses[f"executor.{number}.rss_mb"] = list(one.rss_mb)
        tags[f"executor.{number}"] = f"{one.node}, pid {one.pid}"
    tracker.log_history(run_id, [point.at_s for point in usage.points], courses)
    if tags:
        tracker.tag(run_id, tags)


def _intervals(report: EvaluationReport) -> dict[str, float]:
    ends: dict[str, float] = {}
    for name, estimate in report.metrics.items():
        ends |= {f"{name}_low": estimate.low, f"{name}_high": estimate.high}
    return ends


def register_version(
    tracker: RunTracker,
    registry: ModelRegistry,
    problem: Problem,
    facts: BundleFacts,
    ws: Workspace,
) -> int:
    """Registers the run's model and returns the version; the run is tagged with it."""
    version = registry.register(
        problem,
        ws.onnx.read_bytes(),
        facts,
        ws.spark_model,
        {
            "problem": problem.name,
            "run_id": facts.run_id,
            "data_version": facts.data_version,
            "git_commit": facts.git_commit,
            "family": facts.family,
            "contract_fingerprint": facts.contract_fingerprint,
            "promotion_state": "registered",
        },
        ws.scratch / "registered",
    )
    tracker.tag(facts.run_id, {"model_version": str(version)})
    return version
