"""Delivers the days of a simulation to an installation that is up, through its doors.

What people and callers would do is done here at once: the rows of a day are sent to the
served model over HTTP, their file is added as a batch, its check is waited for, and the
labels follow some days late: as a file for the batch, and by request id for what the model
answered. Alerts and retraining are the worker's, as always.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv

from core.bootstrap import Pilothouse
from core.data.ingest import Providers
from core.domain import Batch
from core.domain_watching import Check
from core.errors import NotFoundError, UnavailableError
from core.problems.contract import Contract, Problem
from core.simulation.calling import Asked, Caller
from core.simulation.days import Day, days_of

POLL_S = 1.0
#: A check takes some twenty seconds; a retrain of 50,000 rows, minutes.
CHECK_TIMEOUT_S = 600.0
RETRAIN_TIMEOUT_S = 3600.0
#: The policy is asked twice a minute; after the last day that is waited for.
POLICY_S = 45.0


@dataclass(frozen=True)
class _Delivered:
    """A day's rows as they are known: the batch, and the requests that asked about them."""

    day: Day
    batch: Batch
    asked: tuple[Asked, ...]


@dataclass(frozen=True)
class DayReport:
    """What became of one day's batch."""

    day: int
    batch: Batch
    check: Check
    #: Rows that the served model answered, so that they are in the inference log.
    predicted: int
    #: The versions that answered.
    versions: tuple[int, ...]
    #: Labels that came on this day for an earlier day's batch, and by request id.
    labels: int
    labels_by_request: int
    open_alerts: tuple[str, ...]
    #: The run that the retraining policy started, if any.
    run_id: str | None


def simulate(
    pilothouse: Pilothouse,
    problem: Problem,
    later_rows: Providers,
    caller: Caller,
    *,
    days: int,
    labels_after: int,
    seed: int,
    actor: str,
) -> Iterator[DayReport]:
    """Delivers day after day and yields what became of each.

    Args:
        pilothouse: an installation that is up, with a version in production.
        problem: one that says how its rows arrive.
        later_rows: readers of the rows that come after training.
        caller: who asks the served model and tells it labels.
        days: number of days, at least 1.
        labels_after: days after which a day's labels come.
        seed: of the draws of a day's rows.
        actor: who brings batches and labels.

    Raises:
        ForbiddenError: the actor may not bring data.
        NotFoundError: the problem has no later rows.
        UnavailableError: a check or a retrain does not end in time, or the served model does
            not answer.
    """
    arrivals = problem.arrivals
    if arrivals is None:
        raise NotFoundError(
            f"{problem.title} has no data that could arrive.",
            fix="Give its problem file an `arrivals`.",
        )
    table = later_rows[arrivals.source.provider](arrivals.source.name)
    planned = days_of(table, problem.contract, arrivals, days, seed)
    delivered: list[_Delivered] = []
    with tempfile.TemporaryDirectory() as folder:
        for day in planned:
            today = _deliver(pilothouse, problem, caller, day, Path(folder), actor)
            delivered.append(today)
            check = _checked(pilothouse, today.batch)
            labels = by_request = 0
            if day.number > labels_after:
                earlier = delivered[day.number - labels_after - 1]
                labels = _send_labels(pilothouse, problem, earlier, Path(folder), actor)
                by_request = _tell_labels(caller, problem, earlier)
            yield DayReport(
                day=day.number,
                batch=today.batch,
                check=check,
                predicted=sum(one.rows for one in today.asked),
                versions=tuple(sorted({one.version for one in today.asked})),
                labels=labels,
                labels_by_request=by_request,
                open_alerts=tuple(
                    f"{alert.kind.value}: {alert.severity.value}"
                    for alert in pilothouse.alerts.list(problem.name, open_only=True)
                ),
                run_id=_after_retrain(
                    pilothouse, problem.name, POLICY_S if day.number == days else 0.0
                ),
            )


def _deliver(
    pilothouse: Pilothouse, problem: Problem, caller: Caller, day: Day, folder: Path, actor: str
) -> _Delivered:
    file = folder / f"day-{day.number}.csv"
    pa_csv.write_csv(day.rows, file)
    batch = pilothouse.batches.add(problem.name, file, name=file.name, actor=actor).batch
    # As the contract reads them: what a caller sends has the same types.
    rows = pilothouse.batches.rows(batch.id, problem.contract.names)
    return _Delivered(day, batch, caller.predict(problem.name, rows, problem.contract))


def _send_labels(
    pilothouse: Pilothouse, problem: Problem, earlier: _Delivered, folder: Path, actor: str
) -> int:
    file = folder / f"labels-{earlier.day.number}.csv"
    pa_csv.write_csv(_label_table(earlier.day, earlier.batch, problem.contract), file)
    return pilothouse.labels.add(problem.name, file, actor=actor).joined


def _tell_labels(caller: Caller, problem: Problem, earlier: _Delivered) -> int:
    label = problem.contract.label
    values = [
        label.positive if label.read(value) else label.negative
        for value in earlier.day.labels.to_pylist()
    ]
    return caller.tell_labels(problem.name, earlier.asked, values)


def _label_table(day: Day, batch: Batch, contract: Contract) -> pa.Table:
    rows = len(day.labels)
    return pa.table(
        {
            "batch_id": pa.array([batch.id] * rows),
            "row_id": pa.array(range(rows), pa.int64()),
            contract.label.name: day.labels,
        }
    )


def _checked(pilothouse: Pilothouse, batch: Batch) -> Check:
    """Waits for the check of a batch, which the worker starts, and for its alerts."""
    deadline = time.monotonic() + CHECK_TIMEOUT_S
    while time.monotonic() < deadline:
        for check in pilothouse.monitoring.list(batch.problem):
            if check.batch_id != batch.id or check.status.is_active:
                continue
            if pilothouse.watch.is_considered(check.id):
                return check
        time.sleep(POLL_S)
    raise UnavailableError(
        f"The check of batch {batch.id} has not ended after {CHECK_TIMEOUT_S:g} s.",
        fix="Look at logs/worker.log.",
    )


def _after_retrain(pilothouse: Pilothouse, problem: str, patience_s: float) -> str | None:
    """Waits while a run is active, so that the next day meets what became of it.

    Where none is, one is waited for as long as ``patience_s``.
    """
    began = time.monotonic()
    run_id = None
    while time.monotonic() < began + RETRAIN_TIMEOUT_S:
        newest = next(iter(pilothouse.runs.list(problem, 1)), None)
        if newest is not None and newest.status.is_active:
            run_id = newest.id
        elif run_id is not None or time.monotonic() > began + patience_s:
            return run_id
        time.sleep(POLL_S)
    raise UnavailableError(
        f"Run {run_id} has not ended after {RETRAIN_TIMEOUT_S:g} s.",
        fix=f"`pilothouse runs logs {run_id}` shows what it does.",
    )
