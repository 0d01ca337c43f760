"""The process of one sweep: what a Ray Job starts.

Like a run's process it reads its specification from the command line, tells MLflow how far
it is, and leaves a log that outlives the cluster.
"""

from __future__ import annotations

import logging
import shutil
import sys
from pathlib import Path

from core.adapters.mlflow import RunTracker
from core.adapters.raydp import RayConnection, connect_ray
from core.adapters.spark_holder import SparkPlan
from core.adapters.spark_lease import SparkLease
from core.bootstrap import PROVIDERS, connect_tracking
from core.domain import Progress, Stage
from core.problems import load_problem
from core.problems.contract import Problem
from core.services.machine import usable_cores
from core.settings import Settings, load_settings, silence_vendors
from core.training import pipeline
from core.training.advice import advise
from core.training.profile_means import profile_means
from core.training.provenance import code_digest
from core.training.recorded_job import do_recorded
from core.training.sweep import OnProgress, SessionResult, SessionTask, SweepPlan, run_sweep
from core.training.sweep_report import Advice, SweepReport
from core.training.sweep_spec import (
    ADVICE_FILE,
    FOLDER,
    LOG_FILE,
    REPORT_FILE,
    SweepSpec,
    sweep_folder,
)
from core.training.sweep_work import measure_session
from core.training.workspace import Workspace, write_json

LOG = logging.getLogger(__name__)


def main() -> int:
    """Runs the specification given as the one argument; returns the exit code."""
    spec = SweepSpec.model_validate_json(sys.argv[1])
    settings = load_settings()
    silence_vendors()
    folder = sweep_folder(settings.home, spec.sweep_id)
    tracker = connect_tracking(settings).tracker

    def work() -> None:
        problem = load_problem(spec.problem, settings.packages)
        report = _execute(spec, problem, settings, folder, tracker)
        _track(tracker, spec.sweep_id, report, advise(report), folder)

    log = folder / LOG_FILE
    return do_recorded(tracker, spec.sweep_id, log, settings.log_level, "sweep", work)


def _execute(
    spec: SweepSpec, problem: Problem, settings: Settings, folder: Path, tracker: RunTracker
) -> SweepReport:
    scratch = folder / "scratch"
    source = Workspace(scratch / "source")
    tracker.report_progress(spec.sweep_id, Progress(Stage.INGEST, 0))
    pipeline.ingest_stage(problem, PROVIDERS, source)
    pipeline.validate_stage(problem, source)
    connect_ray(RayConnection("auto", f"sweep-{spec.sweep_id}"))
    plan = SweepPlan(
        problem=spec.problem,
        packages=settings.packages,
        training=spec.training,
        profiles=spec.profiles,
        families=spec.families,
        repeat=spec.repeat,
        git_commit=spec.git_commit,
        physical_cores=usable_cores(),
        store=settings.store,
    )
    code = code_digest(settings.packages)
    try:
        return run_sweep(
            plan,
            lambda task, tell: _in_new_session(spec.sweep_id, code, task, tell),
            lambda progress: tracker.report_progress(spec.sweep_id, progress),
            source.validated,
            scratch / "session",
        )
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _in_new_session(
    sweep_id: str, code: str, task: SessionTask, on_progress: OnProgress
) -> tuple[SessionResult, float]:
    """Does a task in a session that nobody had before and nobody gets after it.

    What is measured must depend neither on what a JVM has compiled nor on the memory it has
    taken in earlier work, so the plan is one of a kind.
    """
    once = task.training.spark.model_copy(update={"idle_minutes": 0.0})
    mark = f"{code}, {sweep_id}, {task.profile.name}, {task.number}"
    with SparkLease(f"sweep-{sweep_id}", SparkPlan(task.profile, once, mark)) as lease:
        result: SessionResult = lease.run(measure_session, task, on_progress)
    return result, lease.start_seconds


def _track(
    tracker: RunTracker, sweep_id: str, report: SweepReport, advice: Advice, folder: Path
) -> None:
    """Logs the report, the advice that follows from it, and the means as metrics."""
    for name, value in ((REPORT_FILE, report), (ADVICE_FILE, advice)):
        write_json(folder / name, value)
    tracker.log_files(sweep_id, folder / FOLDER, FOLDER)
    metrics: dict[str, float] = {}
    for mean in profile_means(report):
        where = f"{mean.profile.name}.{mean.family}"
        metrics |= {
            f"seconds.{where}": mean.seconds,
            f"core_seconds.{where}": mean.core_seconds,
            f"peak_rss_mb.{where}": mean.peak_rss_mb,
            f"cv_auc.{where}": mean.cv_auc,
        }
    advised = {"advised_profile": advice.profile, "advised_family": advice.family}
    tracker.log(sweep_id, {}, metrics)
    tracker.tag(sweep_id, {**advised, "git_commit": report.git_commit})


if __name__ == "__main__":
    sys.exit(main())
