"""Brings the records of Ray Jobs up to date with what MLflow and Ray know of them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Generic, TypeVar

from core.adapters.mlflow import RunTracker, TrackedRun
from core.adapters.ray import RayCluster
from core.domain import Run, RunStatus
from core.domain_watching import Check
from core.errors import ConflictError, NotFoundError, PilothouseError, UnavailableError
from core.training.jobs import end_job, is_lost

LOG = logging.getLogger(__name__)
_Job = TypeVar("_Job", Run, Check)


def lost(what: str) -> str:
    """What is said of a job whose process ended without saying so."""
    return f"The {what}'s process ended without a word; its log may say why."


@dataclass(frozen=True)
class JobRecords(Generic[_Job]):
    """How jobs of one kind are recorded, and what they are called elsewhere."""

    #: What an operator calls one, such as ``run``.
    what: str
    get: Callable[[str], _Job]
    #: Those that are queued or running.
    active: Callable[[], Sequence[_Job]]
    #: Writes what has changed of a job if it is still active; says whether it was.
    save_active: Callable[[_Job], bool]
    #: Its name in Ray.
    job_id: Callable[[_Job], str]
    #: A job as MLflow knows it by now.
    merged: Callable[[_Job, TrackedRun], _Job]


class JobFollower(Generic[_Job]):
    """Follows, ends and gives up jobs of one kind.

    Whoever only follows a job does not overwrite what somebody decided meanwhile.
    """

    def __init__(self, records: JobRecords[_Job], tracker: RunTracker, cluster: RayCluster) -> None:
        self._records: JobRecords[_Job] = records
        self._tracker = tracker
        self._cluster = cluster

    def refresh(self) -> None:
        """Brings every active job up to date; a service that is down changes nothing."""
        for job in self._records.active():
            self.refreshed(job)

    def refreshed(self, job: _Job) -> _Job:
        """A job as it stands now; as it was recorded where a service is down."""
        if not job.status.is_active:
            return job
        try:
            tracked = self._tracker.get(job.id)
        except NotFoundError:
            return self._save(
                _ended(job, RunStatus.FAILED, f"The {self._records.what} was deleted in MLflow.")
            )
        except UnavailableError as exc:
            LOG.info("%s %s is not refreshed: %s", self._records.what, job.id, exc)
            return job
        current = self._records.merged(job, tracked)
        if tracked.status is RunStatus.RUNNING and self._is_lost(job):
            return self.end(current, RunStatus.FAILED, lost(self._records.what))
        return self._save(current) if current != job else job

    def cancel(self, job_id: str, *, actor: str, begun: Callable[[], object]) -> _Job:
        """Ends a job and returns once its process is gone.

        Args:
            job_id: its id.
            actor: who ends it.
            begun: called before the process is told to end: waiting for that takes a while,
                and may be given up.

        Raises:
            NotFoundError: there is no such job.
            ConflictError: it has ended already.
            UnavailableError: Ray does not answer, or the process does not end.
        """
        what, job = self._records.what, self.refreshed(self._records.get(job_id))
        if not job.status.is_active:
            raise ConflictError(
                f"{what.capitalize()} {job_id[:8]} has ended already: {job.status.value}."
            )
        begun()
        end_job(self._cluster, self._records.job_id(job), what)
        self._refuse_finished(job)
        return self.end(job, RunStatus.CANCELLED, f"cancelled by {actor}")

    def _refuse_finished(self, job: _Job) -> None:
        """A job may have reached its end while it was being stopped; then it left something."""
        try:
            tracked = self._tracker.get(job.id)
        except (NotFoundError, UnavailableError) as exc:
            LOG.info("what %s %s reached is not known: %s", self._records.what, job.id, exc)
            return
        if tracked.status is RunStatus.FINISHED:
            self._save(self._records.merged(job, tracked))
            what = self._records.what.capitalize()
            raise ConflictError(f"{what} {job.id[:8]} finished while it was being stopped.")

    def end(self, job: _Job, status: RunStatus, why: str) -> _Job:
        """Writes down that a job has ended, unless somebody else was first."""
        ended = _ended(job, status, why)
        saved = self._save(ended)
        if saved == ended:
            self.tell_mlflow(job.id, status, why)
        return saved

    def tell_mlflow(self, job_id: str, status: RunStatus, why: str) -> None:
        """Ends a job's run in MLflow, if that can be reached."""
        try:
            self._tracker.finish(job_id, status, why)
        except PilothouseError as exc:
            LOG.warning("MLflow was not told that %s %s ended: %s", self._records.what, job_id, exc)

    def _is_lost(self, job: _Job) -> bool:
        name = self._records.job_id(job)
        return is_lost(self._cluster, self._tracker, name, job.id, job.started_at)

    def _save(self, job: _Job) -> _Job:
        return job if self._records.save_active(job) else self._records.get(job.id)


def _ended(job: _Job, status: RunStatus, why: str) -> _Job:
    return replace(job, status=status, ended_at=datetime.now(UTC), error=why)
