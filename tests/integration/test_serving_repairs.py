"""The promotion record on a real Ray Serve: replicas that leave it are put right and recorded."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from core.adapters.database import Database
from core.adapters.database_decisions import DecisionRecords
from core.adapters.database_rollouts import RolloutRecords
from core.adapters.serve import ServeClient
from core.deployment.last_repair import last_repair
from core.deployment.reconciler import Reconciler
from core.deployment.serving import ServingService
from core.deployment.serving_watch import ServingWatch
from core.domain import ModelVersion, Promotion
from core.domain_serving import ServingStatus
from core.errors import PilothouseError
from core.params import load_params
from core.promotion.audit import AuditEntry, Outcome
from core.promotion.change import Change
from core.promotion.trail import AuditTrail
from core.scoring.bundle import BundleRef, bundles_folder, read_bundle
from core.settings import CODE_ROOT, Settings
from core.worker import keep_serving
from tests.integration.test_serving import PARAMS
from tests.ray_head import free_ports, ray_head
from tests.serving_support import FixedKeys, admission, artifact_server, write_tiny_bundle
from tests.steady import processes
from tests.unit.core_fakes import FakeRegistry, FakeTracker, make_trail

pytestmark = [pytest.mark.alone, pytest.mark.timeout(600)]

REPAIR_TIMEOUT_S = 180.0
VERSIONS = (1, 2, 3, 4)


@dataclass
class Kept:
    """Replicas, and what the worker does to keep them at the record."""

    service: ServingService
    settings: Settings
    artifacts: Path
    url: str
    registry: FakeRegistry
    trail: AuditTrail
    records: DecisionRecords
    rollouts: RolloutRecords

    def refer(self, version: int) -> BundleRef:
        return self.registry.refer("titanic", version, str(version))

    def status(self) -> ServingStatus:
        return self.service.status()

    def is_served(self, version: int) -> bool:
        return [one.version for one in self.status().served] == [version]

    def is_live(self) -> bool:
        """Whether the worker has seen replicas answer with what is recorded."""
        entry = self.records.production("titanic")
        return entry is not None and entry.live_at is not None

    def promote(self, version: int) -> None:
        """What an approval writes."""
        now = datetime.now(UTC)
        sha256 = read_bundle(self.artifacts / str(version)).sha256
        entry = Promotion(
            id=f"p{time.monotonic_ns()}",
            problem="titanic",
            version=version,
            run_id="run",
            rule="approval",
            decided_by="ann",
            reason="better by far",
            since=now,
            source=str(version),
            bundle_sha256=sha256,
        )
        self.records.decide(Change("titanic", (), promotion=entry))

    def repaired(self, before: AuditEntry | None) -> AuditEntry:
        """The row that follows ``before``."""
        wait(lambda: last_repair(self.trail, "titanic") != before, "a row")
        found = last_repair(self.trail, "titanic")
        assert found is not None
        return found

    def last(self) -> AuditEntry | None:
        return last_repair(self.trail, "titanic")


def wait(condition: Callable[[], object], what: str) -> float:
    """Waits until something holds; says how many seconds it took."""
    started = time.monotonic()
    while True:
        try:
            if condition():
                return time.monotonic() - started
        except PilothouseError:
            pass
        assert time.monotonic() - started < REPAIR_TIMEOUT_S, f"no {what}"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    folder = tmp_path_factory.mktemp("repairs")
    artifacts = folder / "artifacts"
    for version in VERSIONS:
        write_tiny_bundle(artifacts / str(version), bias=float(version))
    (port,) = free_ports(1)
    settings = Settings(home=folder / "home", serving_port=port)
    database = Database(settings.database_address)
    database.migrate()
    trail = make_trail(database, settings.home)
    records, rollouts = DecisionRecords(database, trail), RolloutRecords(database)
    registry = FakeRegistry(FakeTracker(), folder / "registry")
    run = registry.tracker.create("titanic", "run", {})
    for version in VERSIONS:
        registry.versions["titanic", version] = ModelVersion(
            "titanic", version, run, datetime.now(UTC), "lr", str(version), {}, {}
        )
    with artifact_server(artifacts) as url, ray_head() as head:
        registry.url = url
        client = ServeClient(head.dashboard, head.token_file)
        keys = FixedKeys(admission(settings.home))
        service = ServingService(settings, PARAMS, client, ["titanic"], keys)
        made = Kept(service, settings, artifacts, url, registry, trail, records, rollouts)
        made.promote(1)
        with worker(made):
            wait(made.is_live, "start")
            yield made
        service.shutdown()
        service.close()
    database.close()


class worker:
    """The thread of the worker that keeps replicas at the record."""

    def __init__(self, kept: Kept) -> None:
        typed: Any = kept.registry
        lock_file = kept.settings.home / "run" / "reconcile"
        shadow = load_params(CODE_ROOT / "params.yaml").rollout.shadow
        reconciler = Reconciler(
            ["titanic"], kept.records, typed, kept.service, lock_file, kept.rollouts, shadow
        )
        promotions: Any = SimpleNamespace(undo_unservable=lambda *_: None)
        watch = ServingWatch(reconciler, promotions, kept.trail)
        made: Any = SimpleNamespace(serving_watch=watch)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=keep_serving, args=(made, self._stop))

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def test_another_version_put_behind_the_record_is_put_right(kept: Kept) -> None:
    assert kept.last() is None, "what a start brings up is no repair"
    kept.service.deploy({"titanic": kept.refer(2)})
    wait(lambda: kept.is_served(2), "another version")
    took = wait(lambda: kept.is_served(1), "repair")
    entry = kept.repaired(None)
    print(f"another version: served as recorded after {took:.1f} s; {entry.detail}")  # noqa: T201
    assert entry.outcome == Outcome.DONE
    assert entry.detail.startswith(
        "v2 answered where the record says v1. Ray Serve was told the record."
    )
    assert took < 15


def test_other_files_under_the_recorded_number_are_put_right(kept: Kept) -> None:
    before = kept.last()
    other = kept.registry.refer("titanic", 1, "3")
    kept.service.deploy({"titanic": other})
    wrong = read_bundle(kept.artifacts / "3").sha256
    right = read_bundle(kept.artifacts / "1").sha256

    def loaded() -> str:
        return kept.status().served[0].bundle_sha256

    wait(lambda: loaded() == wrong, "other files")
    wait(lambda: loaded() == right, "repair")
    assert kept.repaired(before).detail.startswith("v1 answered with other files")


@pytest.mark.long
def test_a_deleted_application_comes_back_without_the_registry(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fetched copies and registry are both gone: what served well is kept apart."""
    before = kept.last()
    kept.registry.plug.pulled = True
    monkeypatch.setattr(kept.registry, "url", "http://127.0.0.1:9")
    for file in bundles_folder(kept.settings.home).rglob("model.onnx"):
        file.unlink()
    kept.service.shutdown()
    took = wait(lambda: kept.is_served(1), "repair")
    entry = kept.repaired(before)
    print(f"deleted application: served as recorded after {took:.1f} s; {entry.detail}")  # noqa: T201
    assert entry.detail.startswith(
        "Nothing answered where the record says v1. Ray Serve was told the record."
    )
    assert kept.status().failures == {}
    # A version that this machine has never had waits for the registry, and says so.
    kept.promote(4)
    wait(lambda: kept.status().failures, "failure")
    status = kept.status()
    assert [one.version for one in status.served] == [1]
    assert status.failures["titanic"].endswith("v1 answers in its place.")
    # The same from a replica that has only just started.
    kept.service.shutdown()
    wait(lambda: kept.status().failures and kept.is_served(1), "stand-in")
    ready = httpx.get(f"{kept.settings.serving_url}/readyz", trust_env=False)
    assert ready.status_code == 200
    monkeypatch.undo()
    kept.registry.plug.pulled = False
    # Here its address has changed, which replicas are told when their time to try is over.
    wait(lambda: kept.is_served(4), "wanted version")
    assert kept.status().failures == {}


def test_a_promotion_while_serves_controller_is_killed(kept: Kept) -> None:
    (served,) = kept.status().served
    wanted = 1 if served.version != 1 else 2
    (controller,) = processes("ServeController")
    controller.kill()
    kept.promote(wanted)
    took = wait(lambda: kept.is_served(wanted), "promotion")
    print(f"controller killed: a promotion at that moment served after {took:.1f} s")  # noqa: T201
