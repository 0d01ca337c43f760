"""The process of a Ray Job whose record is an MLflow run: its log, its end, its last word."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from core.adapters.mlflow import RunTracker
from core.domain import RunStatus
from core.errors import PilothouseError, UnavailableError

LOG = logging.getLogger(__name__)
#: Folder of the log among a run's artifacts.
LOGS_FOLDER = "logs"


def do_recorded(
    tracker: RunTracker, run_id: str, log: Path, level: str, noun: str, work: Callable[[], None]
) -> int:
    """Does a job's work and tells MLflow how it ended, whatever happens.

    The log outlives the cluster: it lies in the job's folder and among the run's artifacts.

    Args:
        tracker: the door to MLflow.
        run_id: the run that records the job.
        log: file of the log.
        level: least severe level that is logged.
        noun: what the job is, such as ``run``.
        work: what it does.

    Returns:
        The exit code of the process.
    """
    if _is_over(tracker, run_id):
        # Ray has taken it after whoever started it had given it up.
        LOG.warning("the %s is over already; nothing is done", noun)
        return 1
    with _logging_to(log, level):
        failure = _failure_of(work, noun)
    if failure is None:
        tracker.finish(run_id, RunStatus.FINISHED)
    else:
        tracker.finish(run_id, RunStatus.FAILED, failure)
    tracker.log_files(run_id, log, LOGS_FOLDER)
    return 0 if failure is None else 1


def _is_over(tracker: RunTracker, run_id: str) -> bool:
    try:
        return not tracker.get(run_id).status.is_active
    except UnavailableError:
        return False


def _failure_of(work: Callable[[], None], noun: str) -> str | None:
    """Does the work; returns one sentence if it fails."""
    try:
        work()
    except PilothouseError as exc:
        LOG.exception("the %s failed", noun)
        return str(exc)
    except Exception as exc:
        LOG.exception("the %s failed", noun)
        kind = type(exc).__name__
        return f"The {noun} stopped with an unexpected {kind}; its log has the rest."
    LOG.info("the %s is finished", noun)
    return None


@contextmanager
def _logging_to(path: Path, level: str) -> Iterator[None]:
    """Logs to a file, and to where Ray keeps what its jobs print."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handlers = (
        logging.FileHandler(path, encoding="utf-8"),
        logging.StreamHandler(sys.stdout),
    )
    root = logging.getLogger()
    root.setLevel(level)
    logging.getLogger("py4j").setLevel(logging.WARNING)
    for handler in handlers:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        root.addHandler(handler)
    try:
        yield
    finally:
        for handler in handlers:
            root.removeHandler(handler)
            handler.close()
