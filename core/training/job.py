"""The process of one run: what a Ray Job starts.

It reads its specification from the command line, tells MLflow how far it is, and
leaves a log in its workspace that outlives the cluster.
"""

from __future__ import annotations

import logging
import shutil
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from core.adapters.mlflow import RunTracker
from core.adapters.raydp import RayConnection, connect_ray
from core.adapters.spark_holder import SparkPlan
from core.adapters.spark_lease import SparkLease
from core.bootstrap import (
    PROVIDERS,
    Tracking,
    connect_labelled_rows,
    connect_tracking,
)
from core.bootstrap_store import connect_training_data
from core.data.labelled import ReadLabelled
from core.data.training_data import TrainingDataStore
from core.domain import Progress, Stage
from core.problems import load_problem
from core.problems.contract import Problem
from core.settings import Settings, load_settings, silence_vendors
from core.training import pipeline
from core.training.job_spec import LOG_FILE, RunSpec, run_folder
from core.training.provenance import (
    Provenance,
    code_digest,
    environment_snapshot,
    java_version,
)
from core.training.recorded_job import do_recorded
from core.training.spark_work import SparkTask, run_stages
from core.training.stage_times import metrics_of
from core.training.tracking import register_version, track_batches, track_resources, track_run
from core.training.workspace import Workspace

LOG = logging.getLogger(__name__)
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
ENDS = dict(zip(BEGINS, [*list(BEGINS.values())[1:], 100], strict=True))


def main() -> int:
    """Runs the specification given as the one argument; returns the exit code."""
    spec = RunSpec.model_validate_json(sys.argv[1])
    settings = load_settings()
    silence_vendors()
    folder = run_folder(settings.home, spec.run_id)
    tracking = connect_tracking(settings)
    ws = Workspace(folder / "workspace")

    def work() -> None:
        problem = load_problem(spec.problem, settings.packages)
        labelled_rows = connect_labelled_rows(settings)
        store = connect_training_data(settings)
        _execute(spec, problem, settings, ws, tracking, labelled_rows, store)

    log = folder / LOG_FILE
    return do_recorded(tracking.tracker, spec.run_id, log, settings.log_level, "run", work)


def _execute(
    spec: RunSpec,
    problem: Problem,
    settings: Settings,
    ws: Workspace,
    tracking: Tracking,
    labelled_rows: ReadLabelled,
    store: TrainingDataStore,
) -> None:
    tracker, packages = tracking.tracker, settings.packages
    tell = _Teller(spec.run_id, tracker)
    connect_ray(RayConnection("auto", f"run-{spec.run_id}"))
    digest = code_digest(packages)
    plan = SparkPlan(spec.profile, spec.training.spark, digest)
    with ThreadPoolExecutor(1) as beside, SparkLease(f"run-{spec.run_id}", plan) as lease:
        # Spark starts meanwhile, where no warm session was found.
        tell(Stage.INGEST)
        batches = [labelled_rows(spec.problem, batch_id) for batch_id in spec.batches]
        pipeline.ingest_stage(problem, PROVIDERS, ws, batches)
        track_batches(tracker, spec.run_id, batches, ws)
        tell(Stage.VALIDATE)
        pipeline.validate_stage(problem, ws)
        # DVC takes seconds to wake up, while this process only waits for Spark.
        kept = beside.submit(store.try_to_keep, spec.problem, ws.raw)
        tell(Stage.START, message=f"profile {spec.profile.name}")
        task = SparkTask(
            spec.problem,
            packages,
            spec.training,
            ws.root,
            spec.profile.cores,
            store=settings.store,
        )
        usage = lease.run(run_stages, task, tell)
    if usage is not None:
        track_resources(tracker, spec.run_id, usage, ws)
    tell(Stage.EVALUATE)
    report = pipeline.evaluate_stage(problem, spec.training, ws)
    tell(Stage.REGISTER)
    machine = environment_snapshot(java_version())
    provenance = Provenance(spec.git_commit, digest, machine, kept.result())
    facts = track_run(tracker, spec.run_id, problem, report, ws, provenance)
    register_version(tracker, tracking.registry, problem, facts, ws)
    tell.end()
    tracker.log(spec.run_id, {}, metrics_of(tell.seconds, spark_was_warm=lease.is_warm))
    shutil.rmtree(ws.scratch, ignore_errors=True)


class _Teller:
    """Tells MLflow how far the run is, and keeps what each stage took."""

    def __init__(self, run_id: str, tracker: RunTracker) -> None:
        self._run_id = run_id
        self._tracker = tracker
        self._stage: Stage | None = None
        self._began = time.monotonic()
        #: Wall seconds of each stage.
        self.seconds: dict[Stage, float] = {}

    def __call__(self, stage: Stage, share: float = 0.0, message: str = "") -> None:
        if stage is not self._stage:
            self.end()
            LOG.info("stage: %s", stage.value)
            self._stage = stage
        percent = BEGINS[stage] + round(share * (ENDS[stage] - BEGINS[stage]))
        self._tracker.report_progress(self._run_id, Progress(stage, percent, message))

    def end(self) -> None:
        """The stage that is going on ends here."""
        now = time.monotonic()
        if self._stage is not None:
            self.seconds[self._stage] = self.seconds.get(self._stage, 0.0) + now - self._began
        self._stage, self._began = None, now


if __name__ == "__main__":
    sys.exit(main())
