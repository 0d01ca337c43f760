"""What every model registry does: the one in memory and MLflow's."""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import mlflow.artifacts
import pandas as pd
import pytest
import yaml

from core.adapters.mlflow import RunTracker, connected_client
from core.adapters.mlflow_registry import PRODUCTION, STAGING, ModelRegistry
from core.errors import ConflictError, DataContractError, NotFoundError, UnavailableError
from core.problems.contract import Problem
from core.scoring.bundle import obtain_bundle
from tests.ray_head import free_ports
from tests.serving_support import RECORD, TITANIC, artifact_server, expected_probability
from tests.serving_support import tiny_model as titanic_model
from tests.unit.core_fakes import PROBLEM, FakeRegistry, FakeTracker, Plug, facts_of
from tests.unit.tiny_models import tiny_model

pytestmark = [
    pytest.mark.timeout(150),
    # MLflow says this of a class of its own while it imports its model flavours.
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning"),
    # And its comparison of an example with a range is what pandas 4 will not take.
    pytest.mark.filterwarnings("ignore:Operation with range is deprecated"),
]

Tracker = RunTracker | FakeTracker
Registry = ModelRegistry | FakeRegistry


@dataclass(frozen=True)
class Subject:
    """A registry, the tracker of its runs, and a registry whose server is gone."""

    tracker: Tracker
    registry: Registry
    unplugged: Registry
    problem: Problem
    scratch: Path

    def register(
        self,
        tags: dict[str, str] | None = None,
        bias: float = 0.0,
        model: bytes | None = None,
    ) -> int:
        """Registers a model, a tiny one by default, of a new run of AUC 0.5 + ``bias``."""
        run_id = self.tracker.create(self.problem.name, "run", {})
        self.tracker.log(run_id, {}, {"auc": 0.5 + bias})
        model = model or tiny_model({"weight": 1.0}, bias)
        facts = facts_of(run_id, self.problem, model_sha256=hashlib.sha256(model).hexdigest())
        spark = self.scratch / f"spark-{run_id}"
        (spark / "metadata").mkdir(parents=True)
        (spark / "metadata" / "part-00000").write_text('{"class": "PipelineModel"}')
        return self.registry.register(
            self.problem, model, facts, spark, tags or {}, self.scratch / f"model-{run_id}"
        )


@pytest.fixture(params=["fake", "mlflow"])
def subject(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Subject]:
    # A model nobody else registers, so that tests share one server.
    problem = replace(PROBLEM, name=f"plums-{uuid.uuid4().hex[:8]}")
    if request.param == "fake":
        files = tmp_path / "files"
        files.mkdir()
        tracker = FakeTracker()
        gone = Plug("MLflow")
        gone.pulled = True
        with artifact_server(files) as url:
            registry = FakeRegistry(tracker, files, url)
            unplugged = FakeRegistry(tracker, files, url, gone)
            yield Subject(tracker, registry, unplugged, problem, tmp_path)
        return
    url = request.getfixturevalue("mlflow_url")
    client = connected_client(url)
    (port,) = free_ports(1)
    nowhere = f"http://127.0.0.1:{port}"
    yield Subject(
        RunTracker(client),
        ModelRegistry(client, url),
        ModelRegistry(connected_client(nowhere), nowhere),
        problem,
        tmp_path,
    )


def test_a_registered_version_is_read_back(subject: Subject) -> None:
    number = subject.register({"family": "lr", "promotion_state": "registered"}, bias=0.25)
    assert number == 1
    found = subject.registry.get(subject.problem.name, 1)
    (run,) = subject.tracker.list(subject.problem.name, 10)
    assert (found.problem, found.version, found.run_id) == (subject.problem.name, 1, run.id)
    assert (found.family, found.aliases) == ("lr", ())
    assert found.tags == {"family": "lr", "promotion_state": "registered"}
    assert found.metrics == {"auc": 0.75}


def test_versions_count_up_and_are_listed_newest_first(subject: Subject) -> None:
    assert subject.registry.list(subject.problem.name) == ()
    assert [subject.register(), subject.register(bias=0.25)] == [1, 2]
    assert [found.version for found in subject.registry.list(subject.problem.name)] == [2, 1]


def test_the_files_answer_over_http_with_the_exact_bytes(subject: Subject) -> None:
    subject.register(bias=0.25)
    found = subject.registry.get(subject.problem.name, 1)
    ref = subject.registry.refer(subject.problem.name, 1, found.source)
    bundle = obtain_bundle(ref, subject.scratch / "cache")
    assert subject.registry.bundle(found, subject.scratch / "fetched") == bundle
    assert bundle.model == tiny_model({"weight": 1.0}, 0.25)
    assert bundle.facts.run_id == found.run_id


def test_a_file_that_is_not_there_is_not_found(subject: Subject) -> None:
    subject.register()
    source = subject.registry.get(subject.problem.name, 1).source
    ref = subject.registry.refer(subject.problem.name, 1, f"{source}/elsewhere")
    with pytest.raises(NotFoundError):
        obtain_bundle(ref, subject.scratch / "cache")


def test_an_alias_is_on_one_version_at_a_time(subject: Subject) -> None:
    name = subject.problem.name
    subject.register()
    subject.register()
    subject.registry.set_alias(name, PRODUCTION, 1)
    subject.registry.set_alias(name, STAGING, 2)
    subject.registry.set_alias(name, PRODUCTION, 2)
    assert subject.registry.get(name, 1).aliases == ()
    assert sorted(subject.registry.get(name, 2).aliases) == [PRODUCTION, STAGING]
    assert sorted(subject.registry.list(name)[0].aliases) == [PRODUCTION, STAGING]
    assert subject.registry.aliases(name) == {PRODUCTION: 2, STAGING: 2}
    subject.registry.drop_alias(name, STAGING)
    assert subject.registry.get(name, 2).aliases == (PRODUCTION,)


def test_a_problem_without_a_model_has_no_aliases(subject: Subject) -> None:
    assert subject.registry.aliases(subject.problem.name) == {}


def test_dropping_an_alias_that_is_not_there_is_fine(subject: Subject) -> None:
    subject.register()
    subject.registry.drop_alias(subject.problem.name, STAGING)
    assert subject.registry.get(subject.problem.name, 1).aliases == ()


def test_tags_replace_each_other(subject: Subject) -> None:
    name = subject.problem.name
    subject.register({"promotion_state": "registered", "data_version": "md5:1"})
    subject.registry.tag(name, 1, {"promotion_state": "staging", "gates": "AUC: pass"})
    assert subject.registry.get(name, 1).tags == {
        "promotion_state": "staging",
        "data_version": "md5:1",
        "gates": "AUC: pass",
    }


def test_documents_are_named_at_the_version(subject: Subject) -> None:
    name = subject.problem.name
    version = subject.register()
    subject.registry.attach(name, version, {"dossier": "promotion/r1/dossier.html"})
    found = subject.registry.get(name, version)
    assert found.tags["dossier"] == f"runs:/{found.run_id}/promotion/r1/dossier.html"
    with pytest.raises(NotFoundError):
        subject.registry.attach(name, 9, {"dossier": "promotion/r1/dossier.html"})


def test_an_unknown_version_is_not_found(subject: Subject) -> None:
    name = subject.problem.name
    subject.register()
    attempts: list[Callable[[], object]] = [
        lambda: subject.registry.get(name, 2),
        lambda: subject.registry.get("nobody", 1),
        lambda: subject.registry.set_alias(name, PRODUCTION, 2),
        lambda: subject.registry.tag(name, 2, {"a": "b"}),
    ]
    for attempt in attempts:
        with pytest.raises(NotFoundError):
            attempt()


def test_a_version_of_a_run_nobody_knows_is_refused(subject: Subject) -> None:
    model = tiny_model({"weight": 1.0})
    facts = facts_of("f" * 32, subject.problem, model_sha256=hashlib.sha256(model).hexdigest())
    with pytest.raises(NotFoundError):
        subject.registry.register(
            subject.problem, model, facts, subject.scratch, {}, subject.scratch / "model"
        )
    assert subject.registry.list(subject.problem.name) == ()


def test_a_server_that_is_gone_is_unavailable(subject: Subject) -> None:
    attempts: list[Callable[[], object]] = [
        lambda: subject.unplugged.get("plums", 1),
        lambda: subject.unplugged.list("plums"),
        lambda: subject.unplugged.set_alias("plums", PRODUCTION, 1),
        lambda: subject.unplugged.drop_alias("plums", PRODUCTION),
        lambda: subject.unplugged.aliases("plums"),
        lambda: subject.unplugged.tag("plums", 1, {"a": "b"}),
        lambda: subject.unplugged.attach("plums", 1, {"dossier": "promotion/r1/dossier.html"}),
    ]
    for attempt in attempts:
        with pytest.raises(UnavailableError):
            attempt()


class TestMlflow:
    """What only the real registry has: MLflow's flavour with Spark's model beside it."""

    @pytest.mark.parametrize("subject", ["mlflow"], indirect=True)
    def test_the_folder_is_an_mlflow_model(self, subject: Subject) -> None:
        subject.register(bias=0.25)
        found = subject.registry.get(subject.problem.name, 1)
        url = subject.registry.refer(found.problem, found.version, found.source).url
        found = {name: _fetch(f"{url}/{name}") for name in ("MLmodel", "input_example.json")}
        spark = _fetch(f"{url}/spark/metadata/part-00000")
        assert json.loads(spark) == {"class": "PipelineModel"}
        assert yaml.safe_load(found["MLmodel"])["flavors"]["onnx"]["data"] == "model.onnx"
        example = json.loads(found["input_example.json"])
        assert example["columns"] == ["weight", "stones", "colour"]
        assert example["data"] == [[40.0, 1.0, "blue"]]

    @pytest.mark.parametrize("subject", ["mlflow"], indirect=True)
    def test_mlflow_itself_scores_records_of_the_contract(self, subject: Subject) -> None:
        version = replace(subject, problem=TITANIC).register(model=titanic_model(0.25))
        loaded = _load(_download(subject, "titanic", version))
        # One that is nullable may be missing, or be no column at all.
        records = [RECORD, {**RECORD, "Sex": "female", "Age": None}]
        answered = loaded.predict(pd.DataFrame(records).drop(columns="Embarked"))
        expected = [expected_probability(record, bias=0.25) for record in records]
        assert answered["probability"].tolist() == pytest.approx(expected, abs=1e-6)
        assert answered["label"].tolist() == [int(value >= 0.5) for value in expected]
        with pytest.raises(DataContractError, match=r"Pclass in row 1: 7.* is not at most 3"):
            loaded.predict(pd.DataFrame([RECORD, {**RECORD, "Pclass": 7}]))

    @pytest.mark.parametrize("subject", ["mlflow"], indirect=True)
    def test_a_version_of_another_contract_is_not_loaded(self, subject: Subject) -> None:
        contract = replace(TITANIC.contract, identifiers=("Somebody",))
        other = replace(TITANIC, contract=contract)
        version = replace(subject, problem=other).register(model=titanic_model())
        with pytest.raises(ConflictError, match="under another contract of titanic"):
            _load(_download(subject, "titanic", version))

    @pytest.mark.parametrize("subject", ["mlflow"], indirect=True)
    def test_the_description_links_the_documents(
        self, subject: Subject, mlflow_url: str, tmp_path: Path
    ) -> None:
        name, version = subject.problem.name, subject.register()
        run_id = subject.registry.get(name, version).run_id
        (tmp_path / "dossier.html").write_text("<h1>Dossier</h1>")
        subject.tracker.log_files(run_id, tmp_path / "dossier.html", "promotion/r1")
        documents = {"dossier": "promotion/r1/dossier.html"}
        client = connected_client(mlflow_url)
        for _ in range(2):
            subject.registry.attach(name, version, documents)
        said = client.get_model_version(name, str(version)).description
        (link,) = re.findall(r"\[dossier\]\((\S+)\)", said)
        assert _fetch(link) == "<h1>Dossier</h1>"
        client.update_model_version(name, str(version), "Written by a person.")
        subject.registry.attach(name, version, documents)
        said = client.get_model_version(name, str(version)).description
        assert said == "Written by a person."


def _load(folder: str) -> Any:
    """What MLflow makes of a downloaded folder."""
    # Imported here because it warns, which this file's tests alone may hear.
    from mlflow.pyfunc import load_model

    return load_model(folder)


def _download(subject: Subject, name: str, version: int) -> str:
    """Folder of a version's files, fetched as MLflow does."""
    found = subject.registry.get(name, version)
    folder = subject.scratch / "downloaded"
    url = subject.registry.refer(name, version, found.source).url.partition("/api/")[0]
    return mlflow.artifacts.download_artifacts(
        artifact_uri=found.source, dst_path=str(folder), tracking_uri=url
    )


def _fetch(url: str) -> str:
    response = httpx.get(url, trust_env=False)
    response.raise_for_status()
    return response.text
