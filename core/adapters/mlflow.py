"""Runs in MLflow: created, told of progress, filled with results, read back."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import LifecycleStage, Metric, Param, RunTag, ViewType
from mlflow.entities import Run as VendorRun
from mlflow.exceptions import MlflowException
from requests.exceptions import RequestException

from core.domain import Progress, RunStatus, Stage
from core.errors import ConflictError, NotFoundError, PilothouseError, UnavailableError
from core.settings import silence_vendors

LOG = logging.getLogger(__name__)
TAG = "pilothouse."
KIND, KIND_RUN, KIND_CANDIDATE, KIND_SWEEP = f"{TAG}kind", "run", "candidate", "sweep"
KIND_CHECK = "check"
PARENT = "mlflow.parentRunId"
MAX_TAG = 4000
_BATCH = 100
_METRICS_BATCH = 1000
_MOST_CHANGES = 10_000

_STATUS = {
    "RUNNING": RunStatus.RUNNING,
    "SCHEDULED": RunStatus.QUEUED,
    "FINISHED": RunStatus.FINISHED,
    "FAILED": RunStatus.FAILED,
    "KILLED": RunStatus.CANCELLED,
}
_VENDOR_STATUS = {status: name for name, status in _STATUS.items()}


@dataclass(frozen=True)
class TrackedRun:
    """A run as MLflow knows it. Tags come without the product's prefix."""

    id: str
    status: RunStatus
    started_at: datetime
    ended_at: datetime | None
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]

    @property
    def progress(self) -> Progress | None:
        """What the run last said it was doing."""
        stage = self.tags.get("stage")
        if stage is None:
            return None
        percent = int(self.tags.get("percent", "0"))
        return Progress(Stage(stage), percent, self.tags.get("message", ""))


@dataclass(frozen=True)
class RunChanges:
    """Runs that go on or ended lately, and the ids of those that were deleted."""

    runs: tuple[TrackedRun, ...]
    deleted: frozenset[str]


@contextmanager
def translated_errors(what: str) -> Iterator[None]:
    """Turns MLflow's and its transport's errors into ours, once.

    Raises:
        NotFoundError: ``what`` does not exist.
        ConflictError: ``what`` exists already.
        UnavailableError: the server does not answer.
    """
    try:
        yield
    except MlflowException as exc:
        raise _translated(exc, what) from exc
    except (RequestException, OSError) as exc:
        raise _unavailable() from exc


def _translated(exc: MlflowException, what: str) -> PilothouseError:
    if exc.error_code == "RESOURCE_DOES_NOT_EXIST":
        return NotFoundError(f"MLflow has no {what}.", fix="It may have been deleted there.")
    if exc.error_code == "RESOURCE_ALREADY_EXISTS":
        return ConflictError(f"MLflow already has {what}.")
    LOG.warning("MLflow refused %s: %s", what, exc)
    return _unavailable()


def _unavailable() -> UnavailableError:
    return UnavailableError("MLflow does not answer.", fix="Run `make status`, then `make up`.")


def connected_client(url: str) -> MlflowClient:
    """A client of the tracking server or local store at ``url``."""
    silence_vendors()
    return MlflowClient(tracking_uri=url, registry_uri=url)


class RunTracker:
    """Training runs in MLflow: one parent a run, one child a candidate; and sweeps."""

    def __init__(self, client: MlflowClient) -> None:
        self._client = client

    def create(self, problem: str, name: str, tags: Mapping[str, str], kind: str = KIND_RUN) -> str:
        """Opens a run and returns its id."""
        with translated_errors(f"experiment {problem}"):
            run = self._client.create_run(
                self._experiment(problem), run_name=name, tags=_prefixed({**tags, "kind": kind})
            )
        return str(run.info.run_id)

    def _experiment(self, problem: str) -> str:
        found = self._client.get_experiment_by_name(problem)
        if found is not None:
            return str(found.experiment_id)
        return str(self._client.create_experiment(problem))

    def get(self, run_id: str) -> TrackedRun:
        """Reads one run; one that was deleted in MLflow is not found."""
        with translated_errors(f"run {run_id}"):
            run = self._client.get_run(run_id)
        # MLflow hides a deleted run from its lists and goes on answering for its id.
        if run.info.lifecycle_stage == LifecycleStage.DELETED:
            raise NotFoundError(f"Run {run_id} was deleted in MLflow.")
        return _tracked(run)

    def list(self, problem: str, limit: int, kind: str = KIND_RUN) -> tuple[TrackedRun, ...]:
        """Runs of a problem and of one kind, newest first."""
        return tuple(_tracked(run) for run in self._search(problem, limit, kind=kind))

    def changes(self, problem: str, since: datetime) -> RunChanges:
        """What may differ from an earlier ``list``: all of it but runs that ended before."""
        ended = f"attributes.end_time >= {int(since.timestamp() * 1000)}"
        found = [
            # First, because a run may end between the two questions.
            *self._search(problem, _MOST_CHANGES, "attributes.status = 'RUNNING'"),
            *self._search(problem, _MOST_CHANGES, ended),
        ]
        gone = self._search(problem, _MOST_CHANGES, view=ViewType.DELETED_ONLY)
        return RunChanges(
            tuple(_tracked(run) for run in found), frozenset(run.info.run_id for run in gone)
        )

    def _search(
        self,
        problem: str,
        limit: int,
        condition: str = "",
        view: int = ViewType.ACTIVE_ONLY,
        kind: str = KIND_RUN,
    ) -> Sequence[VendorRun]:
        wanted = f"tags.`{KIND}` = '{kind}'"
        with translated_errors(f"experiment {problem}"):
            experiment = self._client.get_experiment_by_name(problem)
            if experiment is None:
                return ()
            return self._client.search_runs(
                [experiment.experiment_id],
                filter_string=f"{wanted} and {condition}" if condition else wanted,
                run_view_type=view,
                max_results=limit,
                order_by=["attributes.start_time DESC"],
            )

    def tag(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Sets tags of a run."""
        with translated_errors(f"run {run_id}"):
            self._client.log_batch(
                run_id, tags=[RunTag(key, value) for key, value in _prefixed(tags).items()]
            )

    def report_progress(self, run_id: str, progress: Progress) -> None:
        """Says what a run is doing."""
        self.tag(
            run_id,
            {
                "stage": progress.stage.value,
                "percent": str(progress.percent),
                "message": progress.message,
            },
        )

    def finish(self, run_id: str, status: RunStatus, error: str = "") -> None:
        """Closes a run with its outcome and, where it failed, one sentence why."""
        if error:
            self.tag(run_id, {"error": error})
        with translated_errors(f"run {run_id}"):
            self._client.set_terminated(run_id, _VENDOR_STATUS[status])

    def log(self, run_id: str, params: Mapping[str, object], metrics: Mapping[str, float]) -> None:
        """Logs parameters and metrics."""
        now = int(datetime.now(UTC).timestamp() * 1000)
        values = [Param(key, str(value)) for key, value in params.items()]
        measures = [Metric(key, value, now, 0) for key, value in metrics.items()]
        with translated_errors(f"run {run_id}"):
            for start in range(0, len(values), _BATCH):
                self._client.log_batch(run_id, params=values[start : start + _BATCH])
            self._client.log_batch(run_id, metrics=measures)

    def log_history(
        self, run_id: str, at_s: Sequence[float], values: Mapping[str, Sequence[float]]
    ) -> None:
        """Logs metrics over time, each of shape (moments,); they end now.

        Whole seconds of ``at_s`` are the steps. The last value stands as the metric's own.
        """
        now_s = datetime.now(UTC).timestamp()
        measures = [
            Metric(name, value, int((now_s - at_s[-1] + at) * 1000), int(at))
            for name, course in values.items()
            for at, value in zip(at_s, course, strict=True)
        ]
        with translated_errors(f"run {run_id}"):
            for start in range(0, len(measures), _METRICS_BATCH):
                batch = measures[start : start + _METRICS_BATCH]
                self._client.log_batch(run_id, metrics=batch)

    def log_candidate(
        self,
        problem: str,
        parent: str,
        name: str,
        params: Mapping[str, object],
        metrics: Mapping[str, float],
        folds: Sequence[float],
    ) -> None:
        """Logs one candidate as a child run; per-fold values are steps of ``fold_auc``."""
        now = int(datetime.now(UTC).timestamp() * 1000)
        with translated_errors(f"run {parent}"):
            tags = {PARENT: parent, KIND: KIND_CANDIDATE}
            run = self._client.create_run(self._experiment(problem), run_name=name, tags=tags)
            measures = [Metric(key, value, now, 0) for key, value in metrics.items()]
            measures += [Metric("fold_auc", v, now, step) for step, v in enumerate(folds)]
            values = [Param(key, str(value)) for key, value in params.items()]
            self._client.log_batch(run.info.run_id, metrics=measures, params=values)
            self._client.set_terminated(run.info.run_id)

    def log_files(self, run_id: str, path: Path, folder: str) -> None:
        """Uploads a file, or a folder's files, below ``folder`` of the run's artifacts."""
        with translated_errors(f"run {run_id}"):
            if path.is_dir():
                self._client.log_artifacts(run_id, str(path), folder)
            else:
                self._client.log_artifact(run_id, str(path), folder)

    def read_file(self, run_id: str, name: str, scratch: Path) -> str:
        """Returns a text artifact; ``scratch`` is a folder the copy may go to."""
        return self.fetch_file(run_id, name, scratch).read_text(encoding="utf-8")

    def fetch_file(self, run_id: str, name: str, scratch: Path) -> Path:
        """Copies an artifact into the folder ``scratch`` and returns the copy's path."""
        with translated_errors(f"file {name} of run {run_id}"):
            return Path(self._client.download_artifacts(run_id, name, str(scratch)))


def _prefixed(tags: Mapping[str, str]) -> dict[str, str]:
    return {f"{TAG}{key}": value[:MAX_TAG] for key, value in tags.items()}


def _tracked(run: VendorRun) -> TrackedRun:
    tags = {
        key.removeprefix(TAG): value for key, value in run.data.tags.items() if key.startswith(TAG)
    }
    return TrackedRun(
        id=run.info.run_id,
        status=_STATUS[run.info.status],
        started_at=_time(run.info.start_time),
        ended_at=_time(run.info.end_time) if run.info.end_time else None,
        params=dict(run.data.params),
        metrics=dict(run.data.metrics),
        tags=tags,
    )


def _time(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
