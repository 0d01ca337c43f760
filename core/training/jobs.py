"""Ray Jobs whose record is an MLflow run: lost ones are noticed, cancelled ones waited for."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

from core.adapters.mlflow import RunTracker
from core.adapters.ray import RayCluster
from core.domain import RunStatus
from core.errors import NotFoundError, UnavailableError
from core.training.preflight import NodeCapacity

STOP_TIMEOUT_S = 30.0
STOP_POLL_S = 0.3
#: A job that Ray does not know may be one that was not submitted yet.
SUBMIT_GRACE_S = 30.0


def node_capacities(cluster: RayCluster) -> list[NodeCapacity]:
    """What each node of the cluster declares, as a preflight looks at it.

    Raises:
        UnavailableError: Ray does not answer.
    """
    return [NodeCapacity(node.cpus, node.memory_mb) for node in cluster.nodes()]


def is_lost(
    cluster: RayCluster, tracker: RunTracker, job_id: str, run_id: str, started_at: datetime
) -> bool:
    """Whether a job ended without saying so to MLflow; a service that is down tells nothing."""
    age = datetime.now(UTC) - started_at
    try:
        status = cluster.status(job_id)
        if status is None:
            return age.total_seconds() > SUBMIT_GRACE_S
        # The job's last word in MLflow comes before its end in Ray.
        return status.is_over and tracker.get(run_id).status is RunStatus.RUNNING
    except (UnavailableError, NotFoundError):
        return False


def end_job(cluster: RayCluster, job_id: str, what: str) -> None:
    """Stops a job and returns once its process is gone.

    Raises:
        UnavailableError: Ray does not answer, or the process of ``what`` does not end.
    """
    cluster.stop(job_id)
    deadline = time.monotonic() + STOP_TIMEOUT_S
    while not _is_over(cluster, job_id):
        if time.monotonic() > deadline:
            raise UnavailableError(
                f"Ray has not ended the {what} yet.", fix="Look again in a minute."
            )
        time.sleep(STOP_POLL_S)


def tail_of(log: Path, lines: int) -> str:
    """Returns the last lines of a job's log; empty while it has written none."""
    if not log.exists():
        return ""
    written = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join(written[-lines:])


def _is_over(cluster: RayCluster, job_id: str) -> bool:
    status = cluster.status(job_id)
    return status is None or status.is_over
