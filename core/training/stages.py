"""One stage of ``dvc.yaml`` as a process: a run's functions on the repository's data.

What needs Spark joins the running cluster as a Ray Job, or gets a private Ray for its
time; what needs MLflow uses the running server, or starts one on the same store for its
time.
"""

from __future__ import annotations

import argparse
import logging
import os
import shlex
import subprocess
import sys
import time
import uuid
from collections.abc import Callable

from core.adapters.ray import JobStatus, RayCluster
from core.adapters.ray_token import keep_token
from core.adapters.raydp import RayConnection, connect_ray
from core.adapters.spark_holder import SparkPlan
from core.adapters.spark_lease import SparkLease
from core.bootstrap import PROVIDERS, connect_cluster, connect_tracking
from core.domain import RunStatus, Stage
from core.errors import PilothouseError, TrainingError, UnavailableError
from core.params import Params, load_params
from core.problems import load_problem
from core.problems.contract import Problem
from core.services.environment import service_environment
from core.settings import CODE_ROOT, Settings, inherited_environment, load_settings
from core.training import pipeline
from core.training.own_server import launch_of, tracking_server
from core.training.provenance import code_digest, provenance_here
from core.training.spark_work import SparkTask, run_stages
from core.training.tracking import track_run
from core.training.workspace import Workspace

LOG = logging.getLogger(__name__)
POLL_S = 1.0
JOINED, PRIVATE = "joined", "private"


def main() -> int:
    """Runs the stage named on the command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stage", choices=[*_PLAIN, *_ON_SPARK])
    parser.add_argument("problem")
    # Set by this module itself, for the process in which Spark runs.
    parser.add_argument("--ray", choices=[JOINED, PRIVATE], help=argparse.SUPPRESS)
    given = parser.parse_args()
    logging.basicConfig(level="INFO", format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        settings = load_settings()
        params = load_params(settings.params_file)
        problem = load_problem(given.problem, settings.packages)
        ws = Workspace(CODE_ROOT / "data" / problem.name)
        if given.stage in _PLAIN:
            _PLAIN[given.stage](settings, params, problem, ws)
        elif given.ray:
            _run_on_spark(given.stage, given.ray, settings, params, problem, ws)
        else:
            _hand_over(given.stage, settings, problem)
    except PilothouseError as exc:
        LOG.error("%s", exc)
        return 1
    return 0


def _ingest(_: Settings, _params: Params, problem: Problem, ws: Workspace) -> None:
    pipeline.ingest_stage(problem, PROVIDERS, ws)


def _validate(_: Settings, _params: Params, problem: Problem, ws: Workspace) -> None:
    pipeline.validate_stage(problem, ws)


def _evaluate(settings: Settings, params: Params, problem: Problem, ws: Workspace) -> None:
    report = pipeline.evaluate_stage(problem, params.training, ws)
    with tracking_server(settings):
        tracker = connect_tracking(settings).tracker
        tags = {"problem": problem.name, "profile": params.profile}
        run_id = tracker.create(
            problem.name, f"{problem.name}-dvc", {**tags, "started_by": settings.operator}
        )
        track_run(tracker, run_id, problem, report, ws, provenance_here(settings.packages))
        tracker.finish(run_id, RunStatus.FINISHED)


_PLAIN: dict[str, Callable[[Settings, Params, Problem, Workspace], None]] = {
    "ingest": _ingest,
    "validate": _validate,
    "evaluate": _evaluate,
}
_ON_SPARK = {"preprocess": Stage.PREPROCESS, "train": Stage.TRAIN}


def _run_on_spark(
    stage: str, ray: str, settings: Settings, params: Params, problem: Problem, ws: Workspace
) -> None:
    owner = f"dvc-{uuid.uuid4().hex[:8]}"
    connect_ray(RayConnection("auto" if ray == JOINED else "local", owner))
    profile = params.profile_named(params.profile)
    packages, stages = settings.packages, (_ON_SPARK[stage],)
    where = (ws.root, profile.cores, stages, settings.store)
    task = SparkTask(problem.name, packages, params.training, *where)
    told = ""

    def tell(_: Stage, _share: float, message: str) -> None:
        nonlocal told
        if message != told:
            LOG.info("%s", message)
        told = message

    plan = SparkPlan(profile, params.training.spark, code_digest(packages))
    with SparkLease(owner, plan) as lease:
        lease.run(run_stages, task, tell)
        LOG.info("Spark was %s", "warm" if lease.is_warm else "started for this stage")


def _hand_over(stage: str, settings: Settings, problem: Problem) -> None:
    """Runs the stage where Spark can: in the running cluster, or in a private one."""
    # -P, because the cluster's working folder would come before PYTHONPATH.
    command = [sys.executable, "-P", "-m", "core.training.stages", stage, problem.name, "--ray"]
    cluster = connect_cluster(settings)
    try:
        cluster.nodes()
    except UnavailableError:
        if settings.ray_address:
            raise
        LOG.info("no cluster runs; starting a private Ray for this stage")
        launch = launch_of(settings, keep=settings.store_secrets)
        if settings.ray_token_file:
            keep_token(settings.ray_token_file)
        environment = service_environment(launch, inherited_environment())
        done = subprocess.run([*command, PRIVATE], env=environment, cwd=CODE_ROOT, check=False)
        if done.returncode:
            raise TrainingError(f"Stage {stage} of {problem.name} failed.") from None
        return
    job_id = f"dvc-{problem.name}-{stage}-{uuid.uuid4().hex[:8]}"
    # The cluster may have been started from another checkout: the stage is this one's.
    inherited = inherited_environment().get("PYTHONPATH", "")
    environment = {
        "PYTHONPATH": os.pathsep.join(filter(None, [str(CODE_ROOT), inherited])),
        "PILOTHOUSE_PARAMS_FILE": str(settings.params_file.resolve()),
        "PILOTHOUSE_PROBLEM_PACKAGES": settings.problem_packages,
    }
    cluster.submit(job_id, shlex.join([*command, JOINED]), environment)
    _wait_for(cluster, job_id, f"Stage {stage} of {problem.name}")


def _wait_for(cluster: RayCluster, job_id: str, what: str) -> None:
    status = cluster.status(job_id)
    try:
        while status is not None and not status.is_over:
            time.sleep(POLL_S)
            status = cluster.status(job_id)
    except KeyboardInterrupt:
        cluster.stop(job_id)
        raise
    sys.stdout.write(cluster.logs(job_id))
    if status is not JobStatus.SUCCEEDED:
        raise TrainingError(f"{what} failed.", fix="Its log is above.")


if __name__ == "__main__":
    sys.exit(main())
