"""The process of one run: what a Ray Job starts.

It reads its specification from the command line, tells MLflow how far it is, and
leaves a log in its workspace that outlives the cluster.
"""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from core.adapters.mlflow import RunTracker
from core.adapters.raydp import RayConnection, connect_ray, spark_on_ray
from core.adapters.spark_meter import SparkMeter
from core.bootstrap import PROVIDERS, Tracking, connect_tracking, propose_by_tpe
from core.domain import Progress, RunStatus, Stage
from core.errors import PilothouseError
from core.problems import load_problem
from core.problems.contract import Problem
from core.settings import load_settings, silence_vendors
from core.training import pipeline
from core.training.job_spec import LOG_FILE, RunSpec, run_folder
from core.training.provenance import environment_snapshot
from core.training.tracking import register_version, track_resources, track_run
from core.training.workspace import Workspace

LOG = logging.getLogger(__name__)
HANG_EXIT_CODE = 70
#: stage -> percent of the run at which it begins. Fixed shares; measured on 891 rows.
BEGINS = {
    Stage.INGEST: 1,
    Stage.VALIDATE: 6,
    Stage.START: 8,
    Stage.PREPROCESS: 25,
    Stage.TRAIN: 32,
    Stage.EVALUATE: 90,
    Stage.REGISTER: 94,
}
TRAIN_SHARE = BEGINS[Stage.EVALUATE] - BEGINS[Stage.TRAIN]


def main() -> int:
    """Runs the specification given as the one argument; returns the exit code."""
    spec = RunSpec.model_validate_json(sys.argv[1])
    settings = load_settings()
    silence_vendors()
    folder = run_folder(settings.home, spec.run_id)
    folder.mkdir(parents=True, exist_ok=True)
    log_to(folder / LOG_FILE, settings.log_level)
    tracking = connect_tracking(settings)
    tracker = tracking.tracker
    problem = load_problem(spec.problem, settings.packages)
    try:
        _execute(spec, problem, Workspace(folder / "workspace"), tracking)
    except PilothouseError as exc:
        LOG.exception("the run failed")
        tracker.finish(spec.run_id, RunStatus.FAILED, str(exc))
    except Exception as exc:
        LOG.exception("the run failed")
        sentence = f"The run stopped with an unexpected {type(exc).__name__}; its log has the rest."
        tracker.finish(spec.run_id, RunStatus.FAILED, sentence)
    else:
        LOG.info("the run is finished")
        tracker.finish(spec.run_id, RunStatus.FINISHED)
        return 0
    finally:
        tracker.log_files(spec.run_id, folder / LOG_FILE, "logs")
    return 1


def log_to(path: Path, level: str) -> None:
    """Logs to a file and to where Ray keeps what its jobs print."""
    handlers: list[logging.Handler] = [
        logging.FileHandler(path, encoding="utf-8"),
        logging.StreamHandler(sys.stdout),
    ]
    logging.basicConfig(
        level=level,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        handlers=handlers,
    )
    logging.getLogger("py4j").setLevel(logging.WARNING)


def _execute(spec: RunSpec, problem: Problem, ws: Workspace, tracking: Tracking) -> None:
    tracker = tracking.tracker

    def begin(stage: Stage, message: str = "") -> None:
        LOG.info("stage: %s", stage.value)
        tracker.report_progress(spec.run_id, Progress(stage, BEGINS[stage], message))

    def training_progress(share: float, message: str) -> None:
        percent = BEGINS[Stage.TRAIN] + round(share * TRAIN_SHARE)
        tracker.report_progress(spec.run_id, Progress(Stage.TRAIN, percent, message))

    begin(Stage.INGEST)
    pipeline.ingest_stage(problem, PROVIDERS, ws)
    begin(Stage.VALIDATE)
    pipeline.validate_stage(problem, ws)
    begin(Stage.START, f"profile {spec.profile.name}")
    connect_ray(RayConnection("auto", f"run-{spec.run_id}"))
    with (
        spark_on_ray(
            f"{spec.problem}-{spec.run_id[:8]}",
            spec.profile,
            spec.training.spark,
            end_process(spec.run_id, tracker),
        ) as spark,
        SparkMeter(spark) as meter,
    ):
        begin(Stage.PREPROCESS)
        with meter.phase("preprocess"):
            pipeline.preprocess_stage(spark, problem, spec.training, ws)
        begin(Stage.TRAIN)
        with meter.phase("train"):
            pipeline.train_stage(
                spark, problem, spec.training, ws, training_progress, propose_by_tpe
            )
    usage = meter.usage(spec.profile.cores)
    if usage is not None:
        track_resources(tracker, spec.run_id, usage, ws)
    begin(Stage.EVALUATE)
    report = pipeline.evaluate_stage(problem, spec.training, ws)
    begin(Stage.REGISTER)
    facts = track_run(
        tracker,
        spec.run_id,
        problem,
        report,
        ws,
        spec.git_commit,
        environment_snapshot(java_version()),
    )
    register_version(tracker, tracking.registry, problem, facts, ws)
    shutil.rmtree(ws.scratch, ignore_errors=True)


def end_process(run_id: str, tracker: RunTracker) -> Callable[[PilothouseError], None]:
    """Returns what ends this process, and the run with it, when Spark hangs."""

    def end(error: PilothouseError) -> None:
        try:
            tracker.finish(run_id, RunStatus.FAILED, str(error))
        finally:
            # The main thread waits inside py4j for a JVM that never answers; nothing
            # short of this ends it. Ray then ends the job's actors and their JVMs.
            logging.shutdown()
            os._exit(HANG_EXIT_CODE)

    return end


def java_version() -> str:
    """First line of ``java -version``."""
    done = subprocess.run(["java", "-version"], capture_output=True, text=True, check=False)
    lines = [line for line in done.stderr.splitlines() if "version" in line]
    return lines[0] if lines else "unknown"


if __name__ == "__main__":
    sys.exit(main())
