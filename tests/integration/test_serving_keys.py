"""Keys on a real Ray Serve with two replicas: taken, refused, changed under load."""

from __future__ import annotations

import shutil
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.access.key_ring import KeyRing
from core.access.keys import KeyService
from core.access.serving_key import NewKey, Scope
from core.access.use import key_use_folder
from core.adapters.database import Database
from core.adapters.database_keys import KeyRecords
from core.adapters.serve import ServeClient
from core.bootstrap_deciding import connect_trail
from core.deployment.serving import ServingService
from core.promotion.identity import OneLocalOperator
from core.scoring.bundle import BundleRef, bundles_folder
from core.settings import Settings
from tests.ray_head import free_ports, ray_head
from tests.serving_support import (
    RATES,
    RECORD,
    SERVING,
    artifact_server,
    write_tiny_bundle,
)

pytestmark = [pytest.mark.alone, pytest.mark.timeout(240)]

PARAMS = SERVING.model_copy(update={"min_replicas": 2})
DEPLOY_TIMEOUT_S = 90.0
#: What is promised of a change of keys.
EFFECTIVE_S = 5.0
#: Answers, each on a connection of its own, after which both replicas have answered.
BOTH = 60
BODY = {"records": [RECORD]}


@dataclass
class Load:
    """A caller who asks without pause under one key."""

    url: str
    token: str
    stop: threading.Event = field(default_factory=threading.Event)
    outcomes: Counter[str] = field(default_factory=Counter)

    def ask(self) -> None:
        headers = {"Authorization": f"Bearer {self.token}"}
        with httpx.Client(
            base_url=self.url, trust_env=False, timeout=20, headers=headers
        ) as client:
            while not self.stop.wait(0.01):
                try:
                    response = client.post("/predict/titanic", json=BODY)
                    self.outcomes[str(response.status_code)] += 1
                except httpx.HTTPError as exc:
                    self.outcomes[repr(exc)] += 1


@dataclass(frozen=True)
class Running:
    settings: Settings
    service: ServingService
    keys: KeyService
    artifacts: Path
    #: A new connection for every request.
    http: httpx.Client

    def make(self, *scopes: Scope, **given: Any) -> NewKey:
        return self.keys.make(
            "titanic", "a caller", scopes or [Scope.PREDICT], **given, actor="ann"
        )

    def predict(self, token: str = "", **given: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return self.http.post("/predict/titanic", headers=headers, **(given or {"json": BODY}))

    def seconds_until(self, token: str, status: int) -> float:
        """After which every answer to a key is ``status``, whichever replica gives it."""
        started = time.monotonic()
        settled = started
        streak = 0
        while streak < BOTH:
            if self.predict(token).status_code == status:
                streak += 1
            else:
                streak, settled = 0, time.monotonic()
                assert settled - started < 4 * EFFECTIVE_S
        return settled - started


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("keys")
    write_tiny_bundle(folder / "artifacts" / "1")
    (port,) = free_ports(1)
    settings = Settings(home=folder / "home", serving_port=port, require_keys="yes")
    database = Database(settings.database_address)
    database.migrate()
    records = KeyRecords(database)
    trail = connect_trail(settings, database, OneLocalOperator())
    with artifact_server(folder / "artifacts") as artifacts, ray_head() as head:
        client = ServeClient(head.dashboard, head.token_file)
        ring = KeyRing(settings, RATES, records)
        service = ServingService(settings, PARAMS, client, ["titanic"], ring)
        ref = BundleRef(problem="titanic", version=1, url=f"{artifacts}/1")
        service.deploy({"titanic": ref})
        service.wait_until_serving("titanic", 1, DEPLOY_TIMEOUT_S)
        keys = KeyService(["titanic"], records, service, settings.home, trail)
        with httpx.Client(
            base_url=settings.serving_url,
            trust_env=False,
            timeout=20,
            limits=httpx.Limits(max_keepalive_connections=0),
        ) as http:
            yield Running(settings, service, keys, folder / "artifacts", http)
        service.shutdown()
        service.close()
        database.close()


def test_who_has_no_key_is_refused_and_the_panel_is_not(running: Running) -> None:
    for refused in (running.predict(), running.predict("ph_none_of_ours")):
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"].startswith("Bearer")
        assert refused.json()["error"]["code"] == "unauthorized"
    large = running.predict(content=b" " * 3 * 2**20)
    assert large.status_code == 401
    for path in ("/healthz", "/readyz", "/docs", "/openapi.json"):
        assert running.http.get(path).is_success
    assert running.service.predict("titanic", RECORD).model_version == 1
    assert [one.version for one in running.service.status().served] == [1]


def test_a_key_is_taken_and_refused_by_both_replicas_within_seconds(running: Running) -> None:
    made = running.make()
    taken_s = running.seconds_until(made.token, 200)
    # Each replica that has answered keeps a note of its own.
    folder, deadline = key_use_folder(running.settings.home), time.monotonic() + 20
    while len(notes := list(folder.glob("[!.]*.json"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.2)
    assert len(notes) == 2
    running.keys.carry_use()
    assert running.keys.list()[0].last_used_at is not None
    running.keys.revoke(made.key.id, actor="ann")
    refused_s = running.seconds_until(made.token, 401)
    print(f"taken after {taken_s:.2f} s, refused after {refused_s:.2f} s")  # noqa: T201
    assert taken_s < EFFECTIVE_S
    assert refused_s < EFFECTIVE_S


def test_keys_change_under_load_without_a_failed_request_and_without_the_registry(
    running: Running,
) -> None:
    held = running.make()
    running.seconds_until(held.token, 200)
    load = Load(running.settings.serving_url, held.token)
    callers = [threading.Thread(target=load.ask) for _ in range(2)]
    for caller in callers:
        caller.start()
    try:
        # Whoever would load a model now cannot.
        shutil.rmtree(running.artifacts)
        shutil.rmtree(bundles_folder(running.settings.home))
        for _ in range(3):
            other = running.make()
            running.seconds_until(other.token, 200)
            running.keys.revoke(other.key.id, actor="ann")
            running.seconds_until(other.token, 401)
    finally:
        load.stop.set()
        for caller in callers:
            caller.join()
    assert set(load.outcomes) == {"200"}, load.outcomes
    assert running.service.status().detail == ""


def test_the_proxy_passes_the_limits_on(running: Running) -> None:
    slow = running.make(requests_per_second=0.01)
    labels = running.make(Scope.LABELS)
    running.seconds_until(labels.token, 403)
    held = running.make()
    running.seconds_until(held.token, 200)

    def parts() -> Iterator[bytes]:
        for _ in range(30):
            yield b" " * 100_000

    assert running.predict(held.token, content=parts()).status_code == 413
    # One at once and another after 100 s, in each of two replicas.
    answers = [running.predict(slow.token) for _ in range(20)]
    counted = Counter(answer.status_code for answer in answers)
    assert counted[200] <= 2
    assert counted[429] >= 18
    late = next(answer for answer in answers if answer.status_code == 429)
    assert 90 <= int(late.headers["retry-after"]) <= 100
    assert late.json()["error"]["code"] == "too_many_requests"
