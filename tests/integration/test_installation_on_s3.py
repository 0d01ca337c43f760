"""A whole installation that keeps its data in an S3 store."""

from __future__ import annotations

import json
import random
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from core.adapters.ray_token import TokenFromFile
from core.data.batch_files import batches_folder
from core.services.layout import layout_of
from core.services.processes import tagged_processes
from core.settings_store import S3Store
from tests.installation import Installation, prepare, running
from tests.ray_head import free_ports
from tests.s3 import S3Server
from tests.serving_support import RECORD

pytestmark = [pytest.mark.long, pytest.mark.timeout(1200)]
#: What may know the key, by a part of its command line; what Ray starts inherits it.
NEEDING = ("supervisord", "core.worker", "app/server.py", "mlflow", "ray")
ROWS = 400


@dataclass(frozen=True)
class Stored:
    """An installation that is up, and the store beside it."""

    up: Installation
    server: S3Server
    store: S3Store

    def keys(self, folder: str) -> list[str]:
        """What lies in a folder of the store."""
        start = f"{folder}/"
        return [key for key in self.server.keys(self.store) if key.startswith(start)]

    def lose_batches(self) -> None:
        shutil.rmtree(batches_folder(self.up.settings.home), ignore_errors=True)


@pytest.fixture(scope="module")
def stored(s3: S3Server) -> Iterator[Stored]:
    store = s3.create_bucket()
    with tempfile.TemporaryDirectory(prefix="pilothouse-") as folder:
        made = prepare(Path(folder), **s3.settings(store))
        with running(made) as up:
            yield Stored(replace(up, planted=up.planted.with_texts(store.secret)), s3, store)


@pytest.fixture(scope="module")
def batch(stored: Stored, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Passengers of whom each third's fate is known."""
    draw = random.Random(3)
    file = tmp_path_factory.mktemp("given") / "passengers.csv"
    lines = ["Pclass,Sex,Age,SibSp,Parch,Fare,Embarked,Survived"]
    for row in range(ROWS):
        sex, fare = draw.choice(["male", "female"]), round(draw.uniform(5, 90), 2)
        known = draw.randint(0, 1) if row % 3 == 0 else ""
        lines.append(f"{draw.randint(1, 3)},{sex},{draw.randint(1, 70)},0,0,{fare},S,{known}")
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    added: dict[str, Any] = stored.up.ask("batch", "add", "titanic", str(file))["batch"]
    return added


def test_what_it_trained_lies_in_the_bucket_and_is_served(stored: Stored) -> None:
    home = stored.up.settings.home
    assert [key for key in stored.keys("artifacts") if key.endswith("/model.onnx")]
    assert not (home / "mlflow" / "artifacts").exists()
    training = stored.keys("data-versions/training-data")
    assert [key for key in training if "/files/md5/" in key]
    assert [key for key in training if "/titanic/" in key]
    answer = httpx.post(
        f"{stored.up.settings.serving_url}/predict/titanic",
        json={"records": [RECORD]},
        trust_env=False,
        timeout=30,
    )
    assert answer.status_code == 200, answer.text
    # Artifacts come through MLflow's server, also to whoever has no key.
    (run,) = [one for one in stored.up.ask("runs", "list") if one["model_version"] == 1]
    assert stored.up.ask("runs", "show", run["id"])["run"]["status"] == "finished"


def test_a_batch_that_the_home_has_lost_is_read_from_the_store(
    stored: Stored, batch: dict[str, Any]
) -> None:
    md5 = batch["data_version"].removeprefix("md5:")
    folder = "data-versions/batches"
    assert f"{folder}/files/md5/{md5[:2]}/{md5[2:]}" in stored.keys(folder)
    found = {}
    for name, command in {
        "compared": ("batch", "compare", batch["id"], "reference"),
        "shown": ("batch", "show", batch["id"]),
        "weighed": ("retrain", "titanic", "--dry-run"),
    }.items():
        stored.lose_batches()
        found[name] = stored.up.ask(*command)
    assert found["shown"]["rows"] == ROWS
    assert str(ROWS) in json.dumps(found["compared"])
    stored.lose_batches()
    done = stored.up.command("drift", "titanic", "--batch", batch["id"], "--json")
    assert done.returncode in (0, 42), done.stdout + done.stderr
    report = json.loads(done.stdout)["report"]
    assert report["compared"]["analysis"]["rows"] == ROWS
    assert report["compared"]["analysis"]["data_version"] == batch["data_version"]
    assert report["labelled_rows"] == len(range(0, ROWS, 3))


def test_it_says_where_data_is_kept(stored: Stored) -> None:
    states = {one["id"]: one for one in stored.up.ask("status")}
    assert states["store"]["health"] == "healthy"
    assert stored.store.address in stored.up.command("doctor").stdout


def test_nothing_is_started_where_the_store_does_not_answer(stored: Stored, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    given = stored.server.settings(stored.store) | {"s3_endpoint": f"http://127.0.0.1:{port}"}
    done = prepare(tmp_path, **given).command("up")
    assert done.returncode != 0
    assert "does not answer" in done.stdout + done.stderr
    assert stored.store.secret not in done.stdout + done.stderr


def test_the_key_is_where_it_is_needed(stored: Stored, batch: dict[str, Any]) -> None:
    settings, planted = stored.up.settings, stored.up.planted
    layout, secret = layout_of(settings.home), stored.store.secret
    seeing = set()
    for process in tagged_processes(layout):
        try:
            line, environment = " ".join(process.cmdline()), str(process.environ())
        except psutil.Error:
            continue
        assert secret not in line
        if secret in environment:
            seeing.add(line)
    assert {name for name in NEEDING for line in seeing if name in line} == set(NEEDING)
    # No file of the home, Ray's session among them, and nothing that Ray's dashboard says.
    assert planted.below(settings.home, layout.runtime) == {}
    paths = ("/api/jobs/", "/api/v0/runtime_envs?detail=1", "/api/serve/applications/")
    with httpx.Client(trust_env=False, timeout=30) as client:
        for path in paths:
            url = f"{settings.ray_dashboard_url}{path}"
            answer = client.get(url, auth=TokenFromFile(settings.ray_token_file))
            assert answer.is_success
            assert secret not in answer.text
