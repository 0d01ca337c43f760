"""The endpoint on a real Ray Serve: deploy, predict, switch under load, refuse."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from core.adapters.serve import ServeClient
from core.data.label_join import LabelsReport, join
from core.data.labels import LabelLog, labels_folder
from core.deployment.inference_log import InferenceLog, inference_folder
from core.deployment.serving import ServingService
from core.domain_serving import Health
from core.errors import InvalidInputError, NotFoundError, UnavailableError
from core.scoring.bundle import BundleRef
from core.settings import Settings
from tests.ray_head import RayHead, free_ports, ray_head
from tests.serving_support import (
    INFERENCE_LOG,
    RECORD,
    SERVING,
    TITANIC,
    FixedKeys,
    admission,
    artifact_server,
    expected_probability,
    write_tiny_bundle,
)
from tests.steady import processes

pytestmark = [pytest.mark.alone, pytest.mark.timeout(240)]

PARAMS = SERVING
DEPLOY_TIMEOUT_S = 90.0
LOGGED_S = 5.0


@dataclass
class Load:
    """A few callers who ask without pause until they are stopped."""

    url: str
    stop: threading.Event = field(default_factory=threading.Event)
    outcomes: Counter[str] = field(default_factory=Counter)

    def ask(self) -> None:
        with httpx.Client(base_url=self.url, trust_env=False, timeout=20) as client:
            while not self.stop.is_set():
                try:
                    response = client.post("/predict/titanic", json={"records": [RECORD]})
                    version = response.json().get("model_version")
                    self.outcomes[f"{response.status_code} v{version}"] += 1
                except httpx.HTTPError as exc:
                    self.outcomes[repr(exc)] += 1


@dataclass(frozen=True)
class Running:
    service: ServingService
    settings: Settings
    artifacts: str
    head: RayHead

    def refer(self, version: int) -> BundleRef:
        return BundleRef(problem="titanic", version=version, url=f"{self.artifacts}/{version}")

    def post(self, path: str, body: object) -> dict[str, Any]:
        url = f"{self.settings.serving_url}{path}"
        response = httpx.post(url, json=body, trust_env=False, timeout=20)
        assert response.status_code == 200, response.text
        return dict(response.json())

    def logged(self, *requests: str) -> pa.Table:
        """Rows of these requests in the inference log."""
        folder = inference_folder(self.settings.home)
        rows = InferenceLog(folder, {"titanic": TITANIC.contract}).window("titanic")
        return rows.filter(pc.field("request_id").isin(requests))

    def serve(self, version: int) -> None:
        self.service.deploy({"titanic": self.refer(version)})
        self.service.wait_until_serving("titanic", version, DEPLOY_TIMEOUT_S)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("serving")
    write_tiny_bundle(folder / "artifacts" / "1")
    write_tiny_bundle(folder / "artifacts" / "2", bias=3.0)
    write_tiny_bundle(folder / "artifacts" / "3", contract_fingerprint="0" * 64)
    (port,) = free_ports(1)
    settings = Settings(home=folder / "home", serving_port=port)
    with artifact_server(folder / "artifacts") as artifacts, ray_head() as head:
        client = ServeClient(head.dashboard, head.token_file)
        service = ServingService(
            settings, PARAMS, client, ["titanic"], FixedKeys(admission(settings.home))
        )
        before = service.status()
        assert (before.health, before.replicas) == (Health.DOWN, 0)
        assert before.detail == "No model is deployed."
        found = Running(service, settings, artifacts, head)
        found.serve(1)
        yield found
        service.shutdown()
        assert service.status().health is Health.DOWN
        service.close()


def test_the_deployed_version_predicts(running: Running) -> None:
    running.serve(1)
    answer = running.service.predict("titanic", RECORD)
    assert answer.model_version == 1
    assert answer.probability == pytest.approx(expected_probability(RECORD), abs=1e-6)
    assert answer.latency_ms > 0
    status = running.service.status()
    assert (status.health, status.replicas, status.detail) == (Health.HEALTHY, 1, "")
    (served,) = status.served
    assert (served.problem, served.version, served.run_id) == ("titanic", 1, "run")


def test_bad_input_names_every_field(running: Running) -> None:
    with pytest.raises(InvalidInputError) as refused:
        running.service.predict("titanic", {**RECORD, "Pclass": 9, "Sex": None, "Colour": "red"})
    assert {(o.row, o.field) for o in refused.value.offences} == {
        (0, "Pclass"),
        (0, "Sex"),
        (0, "Colour"),
    }
    with pytest.raises(NotFoundError):
        running.service.predict("nothing", RECORD)


def test_the_proxy_passes_refusals_on(running: Running) -> None:
    with httpx.Client(base_url=running.settings.serving_url, trust_env=False) as client:
        large = client.post("/predict/titanic", content=b" " * 3 * 2**20)
        assert (large.status_code, large.json()["error"]["code"]) == (413, "too_large")
        broken = client.post("/predict/titanic", content=b'{"records": [NaN]}')
        assert broken.status_code == 422
        assert client.get("/predict/titanic").headers["allow"] == "POST"
        assert client.get("/nothing").json()["error"]["code"] == "not_found"
        assert client.get("/docs").status_code == 200
        assert client.post("/predict/titanic", json={"records": [RECORD]}).status_code == 200


def test_versions_switch_under_load_with_no_failed_request(running: Running) -> None:
    running.serve(1)
    load = Load(running.settings.serving_url)
    callers = [threading.Thread(target=load.ask) for _ in range(4)]
    for caller in callers:
        caller.start()
    try:
        for version in (2, 1, 2):
            time.sleep(1.0)
            running.serve(version)
            time.sleep(0.5)
            assert running.service.predict("titanic", RECORD).model_version == version
    finally:
        load.stop.set()
        for caller in callers:
            caller.join()
    assert set(load.outcomes) == {"200 v1", "200 v2"}, load.outcomes


def test_a_version_that_cannot_be_loaded_leaves_the_old_one(running: Running) -> None:
    running.serve(2)
    running.service.deploy({"titanic": running.refer(3)})
    with pytest.raises(UnavailableError, match="trained under another contract"):
        running.service.wait_until_serving("titanic", 3, DEPLOY_TIMEOUT_S)
    status = running.service.status()
    assert (status.health, status.served[0].version) == (Health.HEALTHY, 2)
    assert "trained under another contract" in status.detail
    running.serve(1)
    assert running.service.status().detail == ""


def test_a_problem_that_is_left_out_is_dropped(running: Running, tmp_path: Path) -> None:
    running.service.deploy({})
    deadline = time.monotonic() + DEPLOY_TIMEOUT_S
    while running.service.status().served and time.monotonic() < deadline:
        time.sleep(0.1)
    with pytest.raises(NotFoundError, match="Served problems: none"):
        running.service.predict("titanic", RECORD)
    running.serve(1)


def test_answers_are_logged_and_joined_with_late_labels(running: Running) -> None:
    asked = {}
    for version in (1, 2):
        running.serve(version)
        answer = running.post("/predict/titanic", {"records": [RECORD, {**RECORD, "Age": None}]})
        asked[answer["request_id"]] = version
    deadline = time.monotonic() + LOGGED_S
    while (rows := running.logged(*asked)).num_rows < 4 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert rows["request_id"].to_pylist() == [name for name in asked for _ in range(2)]
    assert rows["version"].to_pylist() == [1, 1, 2, 2]
    assert rows["Age"].to_pylist() == [22.0, None] * 2
    assert rows["probability"][0].as_py() == pytest.approx(expected_probability(RECORD), abs=1e-6)

    first, second = asked
    given = [(first, 0, 1), (second, 1, 0), (second, 1, 1), ("f" * 32, 0, 1)]
    labels = [{"request_id": name, "index": row, "label": label} for name, row, label in given]
    assert running.post("/labels/titanic", {"labels": labels}) == {"taken": 4}
    taken = LabelLog(labels_folder(running.settings.home)).labels("titanic")
    found = join(rows, taken)
    assert found.table["label"].to_pylist() == [1.0, None, None, 0.0]
    assert found.report == LabelsReport(joined=2, duplicates=0, conflicts=1, strangers=1)


def test_the_log_is_complete_however_a_replica_is_told_to_end(running: Running) -> None:
    # So slow that nothing but the end of the replica can have written it.
    slow = PARAMS.model_copy(
        update={"inference_log": INFERENCE_LOG.model_copy(update={"flush_s": 60.0})}
    )
    client = ServeClient(running.head.dashboard, running.head.token_file)
    service = ServingService(
        running.settings, slow, client, ["titanic"], FixedKeys(admission(running.settings.home))
    )
    service.deploy({"titanic": running.refer(1)})
    service.wait_until_serving("titanic", 1, DEPLOY_TIMEOUT_S)
    time.sleep(1.0)  # The version is the same, so nothing else says that the parameters are new.
    body = {"records": [RECORD]}
    asked = [running.post("/predict/titanic", body)["request_id"] for _ in range(20)]
    assert running.logged(*asked).num_rows < 20
    replicas = processes("ServeReplica:")
    for replica in replicas:
        replica.terminate()  # As when Ray's head is stopped.
    psutil.wait_procs(replicas, timeout=DEPLOY_TIMEOUT_S)
    assert running.logged(*asked).num_rows == 20

    while not processes("ServeReplica:") or service.status().health is not Health.HEALTHY:
        time.sleep(0.2)
    asked = [running.post("/predict/titanic", body)["request_id"] for _ in range(20)]
    assert running.logged(*asked).num_rows < 20
    service.shutdown()
    service.close()
    assert running.logged(*asked).num_rows == 20
    assert InferenceLog(inference_folder(running.settings.home)).compact() > 0
    assert running.logged(*asked).num_rows == 20
