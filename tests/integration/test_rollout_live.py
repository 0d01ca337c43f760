"""A canary from its approval to all requests, taken on by the duties of the worker, under load.

Ray Serve runs behind HAProxy as an installation starts it, with two replicas; the database is
real. ``pytest -s -m long`` prints what was counted.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from core.adapters.database import Database
from core.adapters.database_accounts import AccountRecords
from core.adapters.database_decisions import DecisionRecords
from core.adapters.mlflow_registry import PRODUCTION
from core.bootstrap import Pilothouse, assemble
from core.domain import ModelVersion, Promotion, PromotionRequest, RequestStatus
from core.params import Params, load_params
from core.promotion.approval import Fresh, Way, canary_of, promotion_of
from core.promotion.change import Change, closed_as
from core.promotion.identity import OneLocalOperator
from core.rollout.values import Rollout, RolloutStatus
from core.scoring.bundle import read_bundle
from core.settings import CODE_ROOT
from tests.load import load
from tests.serving_support import TITANIC, write_tiny_bundle
from tests.steady import BODY, PREDICT, Steady, steady, wait_until
from tests.unit.core_fakes import (
    FakeCluster,
    FakeReceiver,
    FakeRegistry,
    FakeTracker,
    FakeVersions,
)

pytestmark = [pytest.mark.long, pytest.mark.timeout(400)]

STEPS = (0.1, 0.5, 1.0)
RATE_PER_S = 100.0
ROLLED_OUT_S = 120.0
#: What a share may be off, as a share.
OFF = 0.02
BEAT_S = 0.5


@dataclass(frozen=True)
class Stage:
    """v1 serves and is recorded; what is needed to decide on v2."""

    serve: Steady
    core: Pilothouse
    records: DecisionRecords

    def promotion(self, version: int) -> Promotion:
        now = datetime.now(UTC)
        return Promotion(f"p{version}", "titanic", version, "run", "bootstrap", "ann", "why", now)

    def start(self, bundle_sha256: str) -> Rollout:
        """What an approval in steps writes."""
        now = datetime.now(UTC)
        request = PromotionRequest(
            id="r1",
            problem="titanic",
            version=2,
            run_id="run",
            status=RequestStatus.OPEN,
            requested_by="ann",
            requested_at=now,
            incumbent_version=1,
            gates=(),
        )
        self.records.decide(Change("titanic", (), opened=request))
        approved = closed_as(request, RequestStatus.ROLLING_OUT, "better by far", "bob", now)
        entry = promotion_of(approved, "", Fresh((), "2", bundle_sha256))
        rollout = canary_of(approved, entry, Way(STEPS), now)
        self.records.decide(Change("titanic", (), closed=(approved,), rollouts=(rollout,)))
        return rollout

    def newest(self) -> Rollout:
        return self.core.rollouts.list("titanic", 1)[0]


@contextmanager
def worker(core: Pilothouse) -> Iterator[None]:
    """The duties that keep replicas at the record and take canaries on."""
    stop = threading.Event()

    def beat() -> None:
        while not stop.wait(BEAT_S):
            core.serving_watch.run()
            core.conductor.run(["titanic"])

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def make_params(serve: Steady) -> Params:
    params = load_params(CODE_ROOT / "params.yaml")
    canary = params.rollout.canary.model_copy(update={"steps": STEPS, "bake_s": 3.0})
    rollout = params.rollout.model_copy(update={"canary": canary, "slo": {}})
    changed = {"problems": ("titanic",), "serving": serve.params, "rollout": rollout}
    return params.model_copy(update=changed)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("live")
    with steady(folder, versions=1) as serve:
        # As good as v1, so that no guard has anything against it.
        write_tiny_bundle(folder / "artifacts" / "2", bias=0.0)
        database = Database(serve.settings.database_address)
        database.migrate()
        tracker = FakeTracker()
        registry = FakeRegistry(tracker, folder / "registry")
        registry.url = serve.artifacts
        run = tracker.create("titanic", "run", {})
        for version in (1, 2):
            registry.versions["titanic", version] = ModelVersion(
                "titanic", version, run, datetime.now(UTC), "lr", str(version), {}, {}
            )
        ports: Any = SimpleNamespace(
            database=database,
            tracker=tracker,
            registry=registry,
            cluster=FakeCluster(),
            serving=serve.service,
            versions=FakeVersions(),
            receiver=FakeReceiver(),
            accounts=AccountRecords(database),
            identities=OneLocalOperator(),
        )
        core = assemble(serve.settings, make_params(serve), {"titanic": TITANIC}, ports)
        made = Stage(serve, core, DecisionRecords(database, core.audit))
        made.records.decide(Change("titanic", (), promotion=made.promotion(1)))
        yield made
        database.close()


def test_it_comes_to_all_requests_and_fails_nobody(stage: Stage, tmp_path: Path) -> None:
    write_tiny_bundle(tmp_path / "2", bias=0.0)
    sha256 = read_bundle(tmp_path / "2").sha256
    with (
        worker(stage.core),
        load(stage.serve.settings.serving_url, PREDICT, BODY, RATE_PER_S) as (callers),
    ):
        rollout = stage.start(sha256)
        wait_until(lambda: not stage.newest().status.is_active, ROLLED_OUT_S)
        done_s = time.monotonic()
        time.sleep(3.0)
        summary = callers.stop()
    over = stage.newest()
    notes = stage.core.rollouts.view(over).notes
    sys.stdout.write(f"\n{summary}\n")
    assert over.status is RolloutStatus.DONE, over.end_reason
    assert set(summary.outcomes) == {"200"}
    assert not summary.untrue_ready()
    for step, share in enumerate(STEPS[:-1]):
        new, old = notes.of(step, 2), notes.of(step, 1)
        asked = new.requests + old.requests
        sys.stdout.write(f"  {share:.0%}: {new.requests} of {asked}\n")
        assert new.failed == old.failed == 0
        assert new.requests / asked == pytest.approx(share, abs=OFF)
    assert set(notes.steps[len(STEPS) - 1]) == {2}
    assert {one.version for one in summary.after(done_s)} == {2}
    (request,) = stage.core.promotions.requests("titanic")
    assert request.status is RequestStatus.APPROVED
    record = stage.core.promotions.history("titanic")
    assert [one.version for one in record] == [2, 1]
    assert record[0].id == rollout.promotion.id if rollout.promotion else False
    assert stage.core.promotions.version("titanic", 2).aliases == (PRODUCTION,)
