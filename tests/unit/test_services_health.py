from __future__ import annotations

import os
import time

import httpx
import pytest

from core.domain_serving import Health
from core.services.health import HealthService, HeartbeatProbe, HttpProbe, ServingProbe, http_client
from core.services.layout import layout_of
from core.services.ports import InternalPorts, keep_ports
from core.settings import Settings
from tests.ray_head import free_ports

BASE = "http://127.0.0.1:9"


class Answers:
    """Answers paths with a status; what is not listed refuses the connection."""

    def __init__(self, **statuses: int) -> None:
        self.statuses = statuses
        self.asked: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(str(request.url))
        status = self.statuses.get(request.url.path.strip("/").split("/")[-1])
        if status is None:
            raise httpx.ConnectError("refused")
        return httpx.Response(status)


def look(probe, answers):
    with http_client(httpx.MockTransport(answers)) as http:
        return probe.look(http)


@pytest.mark.parametrize(
    ("answers", "health"),
    [
        (Answers(a=200, b=200), Health.HEALTHY),
        (Answers(a=200, b=503), Health.STARTING),
        (Answers(a=200), Health.DOWN),
        (Answers(a=404), Health.DOWN),
        (Answers(), Health.DOWN),
    ],
)
def test_a_service_is_healthy_when_all_its_addresses_answer(answers, health):
    finding = look(HttpProbe(BASE, (f"{BASE}/a", f"{BASE}/b")), answers)

    assert finding.health is health
    assert bool(finding.detail) is (health is not Health.HEALTHY)


@pytest.mark.parametrize(
    ("answers", "health"),
    [
        (Answers(readyz=200), Health.HEALTHY),
        (Answers(readyz=503, healthz=200), Health.STARTING),
        (Answers(readyz=500, healthz=500), Health.DOWN),
        (Answers(), Health.DOWN),
    ],
)
def test_serving_that_is_alive_is_not_yet_ready(answers, health):
    assert look(ServingProbe(BASE), answers).health is health


@pytest.mark.parametrize(
    ("age_s", "health"), [(None, Health.DOWN), (1, Health.HEALTHY), (60, Health.DOWN)]
)
def test_the_worker_lives_while_it_touches_its_file(tmp_path, age_s, health):
    file = tmp_path / "heartbeat"
    if age_s is not None:
        file.touch()
        os.utime(file, (time.time() - age_s, time.time() - age_s))

    assert look(HeartbeatProbe("", file), Answers()).health is health


def test_names_every_service_and_asks_rays_node_once_its_port_is_known(tmp_path):
    settings = Settings(home=tmp_path)
    answers = Answers(
        health=200, gcs_healthz=200, authentication_mode=200, local_raylet_healthz=200
    )
    service = HealthService(settings, httpx.MockTransport(answers))
    service.check()
    keep_ports(layout_of(tmp_path).ports_file, InternalPorts(21000))

    statuses = service.check()
    service.close()

    assert [one.name for one in statuses] == ["panel", "serving", "mlflow", "ray", "worker"]
    assert [one.name for one in statuses if one.health is Health.HEALTHY] == [
        "panel",
        "mlflow",
        "ray",
    ]
    node = [url for url in answers.asked if "raylet" in url]
    assert node == [f"http://127.0.0.1:{InternalPorts(21000).agent_http}/api/local_raylet_healthz"]


def test_the_store_is_looked_at_where_there_is_one(tmp_path):
    (port,) = free_ports(1)
    store = {"store_url": "s3://bucket/folder", "s3_endpoint": f"http://127.0.0.1:{port}"}
    key = {"s3_access_key_id": "K3y", "s3_secret_access_key": "S3cret"}
    service = HealthService(Settings(home=tmp_path, **store, **key), httpx.MockTransport(Answers()))

    found = service.check()[-1]
    service.close()

    assert (found.name, found.address, found.health) == (
        "store",
        "s3://bucket/folder",
        Health.DOWN,
    )
    assert "does not answer. Start it" in found.detail
    assert "S3cret" not in found.detail
