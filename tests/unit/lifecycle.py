"""An installation in which processes die at a chosen step of a decision.

Record and audit trail are real, on SQLite. Registry and replicas are fakes that outlive the
processes. A process is a ``Pilothouse`` of its own; killed, its memory is gone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from core.adapters.database import Database
from core.adapters.database_accounts import AccountRecords
from core.adapters.database_decisions import DecisionRecords
from core.bootstrap import Pilothouse, assemble
from core.deployment.endpoint import NOTHING_BESIDE, Beside
from core.domain import ModelVersion, Run, RunStatus
from core.domain_serving import Health, HeldBeside, ServedVersion, ServingStatus
from core.params import Params, load_params
from core.params_alerts import ScheduleParams
from core.promotion.trail import AuditTrail
from core.scoring.bundle import BundleRef
from core.settings import CODE_ROOT, Settings
from core.worker import duties
from tests.unit.core_fakes import (
    PROBLEM,
    Accounts,
    FakeCluster,
    FakeReceiver,
    FakeRegistry,
    FakeTracker,
    FakeVersions,
)
from tests.unit.evidence_fakes import FakeEvidence
from tests.unit.stores import address_in

NAME = PROBLEM.name
#: What a beat does for decisions, among its duties.
DUTIES = ("consider candidates", "finish promotions", "watch aliases")


class Killed(BaseException):
    """The process is gone; nothing in it may catch that."""


@dataclass
class Reaper:
    """Kills the process at the step that comes after ``spared`` others; ``None`` kills none."""

    spared: int | None = None
    passed: list[str] = field(default_factory=list)

    def step(self, name: str) -> None:
        self.passed.append(name)
        if self.spared is None:
            return
        if self.spared == 0:
            self.spared = None
            raise Killed(name)
        self.spared -= 1

    def around(self, name: str, act: Callable[..., Any]) -> Callable[..., Any]:
        """The same with a step before and one after."""

        def mortal(*args: Any, **named: Any) -> Any:
            self.step(f"before {name}")
            done = act(*args, **named)
            self.step(f"after {name}")
            return done

        return mortal


@dataclass
class Replicas:
    """A Ray Serve that switches at once, and keeps what answers where it cannot load."""

    registry: FakeRegistry
    wanted: dict[str, int] = field(default_factory=dict)
    answers: dict[str, int] = field(default_factory=dict)
    broken: set[int] = field(default_factory=set)
    beside: dict[str, Beside] = field(default_factory=dict)

    def deploy(
        self, models: Mapping[str, BundleRef], beside: Mapping[str, Beside] = NOTHING_BESIDE
    ) -> None:
        self.wanted = {name: ref.version for name, ref in models.items()}
        self.beside = dict(beside)
        for name, version in self.wanted.items():
            if version not in self.broken:
                self.answers[name] = version

    def status(self) -> ServingStatus:
        served = [ServedVersion(name, v, "run", "gbt", 0.5) for name, v in self.answers.items()]
        failures = {
            name: f"The bundle of v{version} cannot be read."
            for name, version in self.wanted.items()
            if version in self.broken
        }
        health = Health.HEALTHY if served else Health.DOWN
        held = {
            name: HeldBeside(one.rollout, one.step, one.model.version, loaded=True)
            for name, one in self.beside.items()
        }
        return ServingStatus(health, 1, tuple(served), "", failures, held)

    def wait_until_serving(self, problem: str, version: int, timeout_s: float) -> None:
        assert self.answers[problem] == version


@dataclass
class Lifecycle:
    """What outlives the processes of one installation."""

    folder: Path
    reaper: Reaper
    registry: FakeRegistry
    replicas: Replicas
    evidence: FakeEvidence
    database: Database
    tracker: FakeTracker
    approvals_required: int = 1

    def process(self) -> Pilothouse:
        """A process that has just started."""
        settings = Settings(home=self.folder / "home")
        ports: Any = SimpleNamespace(
            database=self.database,
            tracker=self.tracker,
            registry=self.registry,
            cluster=FakeCluster(),
            serving=self.replicas,
            versions=FakeVersions(),
            receiver=FakeReceiver(),
            accounts=AccountRecords(self.database),
            identities=Accounts(),
        )
        params = make_params(self.approvals_required)
        made = assemble(settings, params, {NAME: PROBLEM}, ports)
        fast: Any = made.evidence
        fast.gather, fast.freeze = self.evidence.gather, self.evidence.freeze
        fast.read, fast.bundle_sha256 = self.evidence.read, self.evidence.bundle_sha256
        return made

    def train(self, by: Pilothouse, *, hard: bool = True, better: bool = True) -> int:
        """A run that has ended with a version; says which."""
        version = self.registry.next_number(NAME)
        run_id = self.tracker.create(NAME, "run", {})
        auc = 0.5 + 0.001 * version if better else 0.1
        self.tracker.log(run_id, {}, {"auc": auc, "parity_max_difference": 2e-7 if hard else 1.0})
        self.tracker.finish(run_id, RunStatus.FINISHED)
        tags = {
            "contract_fingerprint": self.evidence.fingerprint,
            "promotion_state": "registered",
        }
        self.registry.versions[NAME, version] = ModelVersion(
            NAME, version, run_id, datetime.now(UTC), "gbt", f"{NAME}/{version}", {}, tags
        )
        now = datetime.now(UTC)
        run = Run(run_id, NAME, RunStatus.FINISHED, "2c-2g", "ann", now, now)
        by.database.add_run(replace(run, model_version=version))
        return version

    def beat(self, worker: Pilothouse) -> None:
        """What the worker does for decisions."""
        chosen = {name: duty for name, duty in duties(worker) if name in DUTIES}
        for name in DUTIES:
            chosen[name]()
        worker.serving_watch.run()


@cache
def make_params(approvals_required: int) -> Params:
    """The parameters as delivered, but for a promotion that is taken back at the next beat."""
    params = load_params(CODE_ROOT / "params.yaml")
    promotion = params.promotion.model_copy(
        update={"approvals_required": approvals_required, "undo_after_s": 1e-6}
    )
    changed = {
        "problems": (NAME,),
        "bootstrap": (NAME,),
        "schedule": ScheduleParams(checks={}),
        "promotion": promotion,
        "rollout": params.rollout.model_copy(update={"slo": {}}),
    }
    return params.model_copy(update=changed)


@contextmanager
def lifecycle(
    folder: Path, approvals_required: int = 1, reaper: Reaper | None = None
) -> Iterator[Lifecycle]:
    """The installation below ``folder``; what is outside of its database is empty."""
    reaper = reaper or Reaper()
    database = Database(address_in(folder / "home"))
    database.migrate()
    tracker = FakeTracker()
    registry = FakeRegistry(tracker, folder / "registry")
    replicas = Replicas(registry)
    evidence = FakeEvidence(registry, PROBLEM.contract.fingerprint(), step=reaper.step)
    mortal_registry: Any = registry
    for name in ("set_alias", "drop_alias", "tag"):
        setattr(mortal_registry, name, reaper.around(name, getattr(registry, name)))
    mortal_replicas: Any = replicas
    mortal_replicas.deploy = reaper.around("deploy", replicas.deploy)
    made = Lifecycle(
        folder, reaper, registry, replicas, evidence, database, tracker, approvals_required
    )
    with pytest.MonkeyPatch.context() as patched:
        for owner, name in (
            (DecisionRecords, "decide"),
            (DecisionRecords, "finish"),
            (DecisionRecords, "mark_live"),
            # Inside the transaction, between its rows.
            (AuditTrail, "append_in"),
            (AuditTrail, "anchor"),
        ):
            patched.setattr(owner, name, reaper.around(name, getattr(owner, name)))
        # Reading the certificates of the machine takes a fifth of a second a process.
        patched.setattr("core.services.health.http_client", lambda *_: None)
        yield made
    database.close()
