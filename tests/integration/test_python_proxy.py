"""Ray's own proxy in HAProxy's place: the same routes, on the same port, under the same rules."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from core.adapters.serve import ServeClient
from core.deployment.serving import ServingService
from core.domain_serving import Health
from core.hosts import EVERYWHERE
from core.scoring.bundle import BundleRef
from core.services.certificate import own_clients
from tests.certificates import issue, spoken
from tests.integration.test_services import Installation, clean
from tests.integration.test_serving import DEPLOY_TIMEOUT_S, PARAMS
from tests.listeners import Listener, listeners
from tests.serving_support import (
    RECORD,
    FixedKeys,
    admission,
    artifact_server,
    expected_probability,
    write_tiny_bundle,
)

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    """Ray alone, for the whole network and with a certificate."""
    shown = issue(tmp_path / "issued").settings
    made = Installation(tmp_path / "home", "ray", host=EVERYWHERE, serving_proxy="python", **shown)
    yield made
    clean(made.layout)


@pytest.mark.long
def test_an_installation_serves_without_haproxy(installation: Installation, tmp_path: Path) -> None:
    installation.up()
    settings = installation.settings
    write_tiny_bundle(tmp_path / "artifacts" / "1")
    client = ServeClient(settings.ray_dashboard_url, settings.ray_token_file)
    keys = FixedKeys(admission(settings.home))
    service = ServingService(settings, PARAMS, client, ["titanic"], keys)
    with artifact_server(tmp_path / "artifacts") as artifacts:
        ref = BundleRef(problem="titanic", version=1, url=f"{artifacts}/1")
        service.deploy({"titanic": ref})
        service.wait_until_serving("titanic", 1, DEPLOY_TIMEOUT_S)
    assert service.status().health is Health.HEALTHY
    answer = service.predict("titanic", RECORD)
    assert answer.probability == pytest.approx(expected_probability(RECORD), abs=1e-6)

    verify = own_clients(settings)
    with httpx.Client(base_url=settings.serving_url, verify=verify, trust_env=False) as asked:
        for path in ("/healthz", "/readyz", "/docs", "/metrics", "/v2", "/problems/titanic"):
            assert asked.get(path).status_code == 200, path
        large = asked.post("/predict/titanic", content=b" " * 3 * 2**20)
        assert (large.status_code, large.json()["error"]["code"]) == (413, "too_large")
        with pytest.raises(httpx.RemoteProtocolError):
            asked.get(settings.serving_url.replace("https:", "http:") + "/healthz")
    assert spoken(settings.serving_port, ssl.TLSVersion.TLSv1_3) == "TLSv1.3"
    with pytest.raises(ssl.SSLError):  # closed without a word
        spoken(settings.serving_port, ssl.TLSVersion.TLSv1_1)

    found = {one for one in listeners(installation.layout) if not one.is_local}
    assert found == {Listener(EVERYWHERE, settings.serving_port)}
    assert installation.processes("haproxy") == []
    assert not installation.layout.haproxy_launcher.exists()
    service.shutdown()
    service.close()
    assert installation.manager.down() > 0
