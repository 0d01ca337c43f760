"""Stand-ins for checks and batches, and an installation that watches with them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from core.adapters.database_alerts import AlertRecords
from core.data.labelled import LabelledBatch
from core.domain import Batch, RunStatus
from core.domain_watching import AlertKind, Check
from core.monitoring.report import DriftReport
from core.monitoring.retrains import RetrainingService
from core.monitoring.watching import WatchService
from core.params_alerts import RetrainingParams, ScheduleParams
from tests.unit.alert_values import check_of
from tests.unit.core_fakes import PROBLEM, Plug, World, make_world

POLICY = RetrainingParams(
    critical_drift=True,
    estimated_loss=None,
    realized_loss=None,
    new_labelled_rows=None,
    cron=None,
    min_rows=50,
    min_labelled_rows=20,
    cooldown_hours=24,
)


@dataclass
class FakeChecks:
    """Checks that are told what they find."""

    plug: Plug = field(default_factory=lambda: Plug("Ray"))
    checks: list[Check] = field(default_factory=list)
    reports: dict[str, DriftReport] = field(default_factory=dict)
    considered: set[str] = field(default_factory=set)

    def start(self, problem: str, *, batch_id: str | None = None, actor: str) -> Check:
        self.plug.check()
        started = replace(
            check_of(f"c{len(self.checks)}", at=datetime.now(UTC)),
            problem=problem,
            started_by=actor,
            status=RunStatus.RUNNING,
            ended_at=None,
            batch_id=batch_id,
        )
        self.checks.append(started)
        return started

    def finish(self, check_id: str, report: DriftReport) -> None:
        ended = datetime.now(UTC)
        self.reports[check_id] = report
        self.checks = [
            replace(check, status=RunStatus.FINISHED, ended_at=ended)
            if check.id == check_id
            else check
            for check in self.checks
        ]

    def find(self, report: DriftReport, data_at: datetime | None = None) -> Check:
        """A check that has finished with a report, of data that arrived then or just now."""
        check = self.start(PROBLEM.name, actor="ann")
        self.checks[-1] = replace(check, data_at=data_at)
        self.finish(check.id, report)
        return self.checks[-1]

    def list(self, problem: str | None = None, limit: int = 100) -> Sequence[Check]:
        own = [check for check in self.checks if problem in (None, check.problem)]
        return own[::-1][:limit]

    def report(self, check_id: str) -> DriftReport:
        return self.reports[check_id]

    def unconsidered(self) -> Sequence[Check]:
        return [
            check
            for check in self.checks
            if check.status is RunStatus.FINISHED and check.id not in self.considered
        ]

    def mark_considered(self, check_id: str, told: Iterable[AlertKind]) -> None:
        self.considered.add(check_id)
        said = tuple(told)
        self.checks = [
            replace(check, told=said) if check.id == check_id else check for check in self.checks
        ]


@dataclass
class FakeBatches:
    """Batches with labels that may come later."""

    batches: list[Batch] = field(default_factory=list)
    tables: dict[str, pa.Table] = field(default_factory=dict)
    #: Batches that a check has looked at.
    checked: set[str] = field(default_factory=set)

    def add(self, batch_id: str, labelled: int) -> None:
        now = datetime.now(UTC)
        self.batches.append(
            Batch(batch_id, PROBLEM.name, "b.csv", "0", "md5:0", 500, labelled, "ann", now)
        )
        self.label(batch_id, labelled)

    def label(self, batch_id: str, rows: int) -> None:
        self.tables[batch_id] = pa.table({"row_id": pa.array(range(rows), pa.int64())})

    def list(self, problem: str, limit: int) -> Sequence[Batch]:
        return [batch for batch in self.batches if batch.problem == problem][::-1][:limit]

    def unchecked(self, problem: str) -> Sequence[Batch]:
        return [batch for batch in self.batches if batch.id not in self.checked]

    def labelled(self, problem: str, batch_id: str) -> LabelledBatch:
        return LabelledBatch(batch_id, self.tables[batch_id])


@dataclass(frozen=True)
class Watched:
    """An installation on fakes, with its watching."""

    world: World
    checks: FakeChecks
    batches: FakeBatches
    retraining: RetrainingService
    watch: WatchService

    def promote(self) -> None:
        """Puts a first version into production."""
        self.world.pilothouse.promotions.consider(self.world.train())


@contextmanager
def watched(
    folder: Path, policy: RetrainingParams = POLICY, cron: str = "0 6 * * *"
) -> Iterator[Watched]:
    """Opens one; it is closed at the end of the block."""
    world = make_world(folder)
    core, checks, batches = world.pilothouse, FakeChecks(), FakeBatches()
    ports: Any = world  # the fakes stand for the adapters
    retraining = RetrainingService(
        policy,
        core.problems,
        core.database,
        AlertRecords(core.database),
        ports.tracker,
        core.runs,
        core.promotions,
        checks,
        batches,
        lambda problem, batch_id: batches.labelled(problem, batch_id).trainable.num_rows,
    )
    schedule = ScheduleParams(checks={PROBLEM.name: cron})
    watch = WatchService(
        schedule, checks, checks, batches, core.alerts, retraining, core.promotions
    )
    yield Watched(world, checks, batches, retraining, watch)
    world.close()
