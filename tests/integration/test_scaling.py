"""Replicas behind HAProxy follow the load, lose no request, and every decision is explained."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from core.adapters.serve import ServeClient
from core.deployment.load_history import LoadFiles
from core.deployment.load_view import LoadService
from core.deployment.load_watch import EVERY_S, LoadWatch
from core.deployment.scaling import Cause, Course
from core.deployment.serving import ServingService
from core.scoring.bundle import BundleRef
from core.settings import CODE_ROOT, Settings
from tests.ray_head import free_ports
from tests.served_head import served_head
from tests.serving_support import (
    SERVING,
    FixedKeys,
    admission,
    artifact_server,
    write_tiny_bundle,
)

pytestmark = [pytest.mark.long, pytest.mark.timeout(400)]

PARAMS = SERVING.model_copy(
    update={"max_replicas": 3, "target_ongoing_requests": 12, "downscale_delay_s": 15}
)
CALLERS, LOAD_S = 48, 60
START_TIMEOUT_S, CALM_TIMEOUT_S = 90.0, 120.0


@dataclass(frozen=True)
class Served:
    """What is served, and the worker's view of it."""

    port: int
    watch: LoadWatch
    load: LoadService
    files: LoadFiles

    def look(self) -> tuple[int, int]:
        """Measures once, as the worker would; returns replicas that run and that should."""
        self.watch.look()
        found = self.load.look()
        assert found.target is not None, found.unavailable
        return found.running, found.target


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    write_tiny_bundle(tmp_path / "artifacts" / "1")
    (port,) = free_ports(1)
    settings = Settings(home=tmp_path / "home", serving_port=port)
    with artifact_server(tmp_path / "artifacts") as artifacts, served_head(settings) as head:
        client = ServeClient(head.dashboard, head.token_file)
        keys = FixedKeys(admission(settings.home))
        service = ServingService(settings, PARAMS, client, ["titanic"], keys)
        ref = BundleRef(problem="titanic", version=1, url=f"{artifacts}/1")
        service.deploy({"titanic": ref})
        service.wait_until_serving("titanic", 1, START_TIMEOUT_S)
        home = settings.home
        yield Served(port, LoadWatch(home, service), LoadService(home, service), LoadFiles(home))
        service.shutdown()
        service.close()


def test_replicas_follow_the_load_and_lose_no_request(served: Served) -> None:
    command = [sys.executable, "-m", "tests.closed_loop"]
    most, seen = 1, []
    with subprocess.Popen(
        [*command, str(served.port), str(CALLERS), str(LOAD_S)],
        cwd=CODE_ROOT,
        stdout=subprocess.PIPE,
        text=True,
    ) as callers:
        while callers.poll() is None:
            running, target = served.look()
            most = max(most, running)
            seen.append((running, target))
            time.sleep(EVERY_S)
        assert callers.stdout is not None
        outcomes: dict[str, int] = json.load(callers.stdout)
    under_load = served.load.look()
    assert under_load.traffic is not None
    calm_by = time.monotonic() + CALM_TIMEOUT_S
    while served.look() != (1, 1):
        assert time.monotonic() < calm_by, f"still {served.look()} replicas"
        time.sleep(EVERY_S)
    decisions = served.files.scaled().decisions
    sys.stdout.write(
        f"\n{CALLERS} callers for {LOAD_S} s: {outcomes}; replicas and target over time {seen}\n"
        f"at the end {under_load.traffic.rate_per_s:.0f} requests/s, "
        f"p50 {under_load.traffic.p50_ms} ms, p99 {under_load.traffic.p99_ms} ms\n"
    )
    for one in decisions:
        sys.stdout.write(f"{one.at:%H:%M:%S} {one.sentence}\n")
    assert set(outcomes) == {"200"}, outcomes
    assert most == PARAMS.max_replicas
    assert decisions[0].after == 1
    assert decisions[-1].before == 1
    # In between, a load that swings about a bound may be counted otherwise by Ray.
    assert {decisions[0].cause, decisions[-1].cause} == {Cause.LOAD}
    assert any("were in flight, against a target of 12 each" in one.sentence for one in decisions)
    outlook = served.load.look().outlook
    assert outlook is not None
    assert outlook.course is Course.STAYS
