"""Stand-ins for the core's ports, held to the real adapters by ``tests/contract``."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa

from core.access.people import People
from core.access.rights import Standing
from core.adapters.database import Database
from core.adapters.database_accounts import AccountRecords
from core.adapters.database_batches import BatchRecords
from core.adapters.mlflow import KIND_RUN, MAX_TAG, RunChanges, TrackedRun
from core.adapters.ray import JobStatus, Node
from core.bootstrap import Pilothouse, assemble
from core.bootstrap_deciding import connect_trail
from core.data.tables import ROW_ID, contract_columns, file_md5
from core.deployment.endpoint import NOTHING_BESIDE, Beside
from core.deployment.scaling import ReplicaSet
from core.domain import Batch, ModelVersion, Progress, Run, RunStatus
from core.domain_serving import Health, ServingStatus
from core.errors import NotFoundError, UnavailableError
from core.monitoring.messages import Message
from core.params import load_params
from core.params_alerts import ScheduleParams
from core.params_intake import IntakeParams
from core.params_rollout import SloParams
from core.problems.contract import Contract, DatasetSource, Field, FieldType, Label, Problem
from core.promotion.audit import Action
from core.promotion.identity import Identities, OneLocalOperator
from core.promotion.trail import AuditTrail
from core.scoring.bundle import Bundle, BundleFacts, BundleRef, read_bundle, write_bundle
from core.scoring.scorer import Scorer
from core.settings import CODE_ROOT, Settings
from core.training.experiments import ExperimentService
from core.training.predictions import LABEL, write_predictions
from core.training.report import (
    CalibrationBin,
    Candidate,
    ColumnSummary,
    Confusion,
    Curve,
    Estimate,
    EvaluationReport,
    FeatureWeight,
    ParityResult,
)
from core.training.trials import ParamValue
from tests.unit.stores import address_in
from tests.unit.tiny_models import tiny_model

PROBLEM = Problem(
    name="plums",
    title="Is a plum sweet?",
    contract=Contract(
        fields=(
            Field("weight", FieldType.NUMBER, "Weight", 40.0, "g", minimum=1, usual=(20, 90)),
            Field("stones", FieldType.INTEGER, "Stones", 1, nullable=True, minimum=0, maximum=3),
            Field("colour", FieldType.CATEGORY, "Colour", "blue", categories=("blue", "yellow")),
        ),
        label=Label("taste", "sweet", "sour", "sweet", "sour"),
    ),
    source=DatasetSource("file", "plums.csv"),
    search_space={family: {"regParam": (0.0, 0.1)} for family in ("lr", "rf", "gbt")},
)


class Plug:
    """Whether a service answers; pulled, everything behind it is unavailable."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.pulled = False

    def check(self) -> None:
        if self.pulled:
            raise UnavailableError(f"{self._name} does not answer.")


@dataclass
class FakeTracker:
    """Training runs in memory."""

    plug: Plug = field(default_factory=lambda: Plug("MLflow"))
    #: Time of the first run; each later one starts a minute after the one before.
    clock: datetime = field(default_factory=lambda: datetime.now(UTC))
    runs: dict[str, TrackedRun] = field(default_factory=dict)
    candidates: dict[str, list[str]] = field(default_factory=dict)
    #: (run, metric) -> steps with their values.
    history: dict[tuple[str, str], list[tuple[int, float]]] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)
    _problems: dict[str, str] = field(default_factory=dict)
    _files: dict[tuple[str, str], bytes] = field(default_factory=dict)

    def create(self, problem: str, name: str, tags: Mapping[str, str], kind: str = KIND_RUN) -> str:
        self.plug.check()
        run_id = f"{len(self.runs) + 1:032x}"
        started = self.clock + timedelta(minutes=len(self.runs))
        self.runs[run_id] = TrackedRun(run_id, RunStatus.RUNNING, started, None, {}, {}, {})
        self._problems[run_id] = problem
        self.tag(run_id, {**tags, "kind": kind})
        return run_id

    def get(self, run_id: str) -> TrackedRun:
        self.plug.check()
        if run_id not in self.runs:
            raise NotFoundError(f"MLflow has no run {run_id}.")
        return self.runs[run_id]

    def list(self, problem: str, limit: int, kind: str = KIND_RUN) -> tuple[TrackedRun, ...]:
        self.plug.check()
        found = [
            run
            for run in self.runs.values()
            if self._problems[run.id] == problem and run.tags["kind"] == kind
        ]
        newest_first = sorted(found, key=lambda run: run.started_at, reverse=True)
        return tuple(newest_first[:limit])

    def changes(self, problem: str, since: datetime) -> RunChanges:
        changed = [
            r for r in self.list(problem, 10_000) if r.ended_at is None or r.ended_at >= since
        ]
        gone = {run_id for run_id in self.deleted if self._problems[run_id] == problem}
        return RunChanges(tuple(changed), frozenset(gone))

    def tag(self, run_id: str, tags: Mapping[str, str]) -> None:
        run = self.get(run_id)
        cut = {key: value[:MAX_TAG] for key, value in tags.items()}
        self.runs[run_id] = replace(run, tags={**run.tags, **cut})

    def report_progress(self, run_id: str, progress: Progress) -> None:
        self.tag(
            run_id,
            {
                "stage": progress.stage.value,
                "percent": str(progress.percent),
                "message": progress.message,
            },
        )

    def finish(self, run_id: str, status: RunStatus, error: str = "") -> None:
        if error:
            self.tag(run_id, {"error": error})
        ended = datetime.now(UTC)
        self.runs[run_id] = replace(self.get(run_id), status=status, ended_at=ended)

    def log(self, run_id: str, params: Mapping[str, object], metrics: Mapping[str, float]) -> None:
        run = self.get(run_id)
        texts = {key: str(value) for key, value in params.items()}
        self.runs[run_id] = replace(
            run, params={**run.params, **texts}, metrics={**run.metrics, **metrics}
        )

    def log_history(
        self, run_id: str, at_s: Sequence[float], values: Mapping[str, Sequence[float]]
    ) -> None:
        for name, course in values.items():
            steps = [(int(at), value) for at, value in zip(at_s, course, strict=True)]
            self.history.setdefault((run_id, name), []).extend(steps)
        self.log(run_id, {}, {name: course[-1] for name, course in values.items()})

    def log_candidate(
        self,
        problem: str,
        parent: str,
        name: str,
        params: Mapping[str, object],
        metrics: Mapping[str, float],
        folds: Sequence[float],
    ) -> None:
        self.plug.check()
        self.candidates.setdefault(parent, []).append(name)

    def log_files(self, run_id: str, path: Path, folder: str) -> None:
        self.get(run_id)
        for file in path.rglob("*") if path.is_dir() else [path]:
            if file.is_file():
                name = file.relative_to(path).as_posix() if path.is_dir() else file.name
                self._files[run_id, f"{folder}/{name}"] = file.read_bytes()

    def read_file(self, run_id: str, name: str, scratch: Path) -> str:
        return self.fetch_file(run_id, name, scratch).read_text(encoding="utf-8")

    def fetch_file(self, run_id: str, name: str, scratch: Path) -> Path:
        self.get(run_id)
        if (run_id, name) not in self._files:
            raise NotFoundError(f"MLflow has no file {name} of run {run_id}.")
        copy = scratch / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(self._files[run_id, name])
        return copy

    def put_file(self, run_id: str, name: str, data: bytes | None) -> None:
        """What somebody does who changes or deletes an artifact behind the product's back."""
        del self._files[run_id, name]
        if data is not None:
            self._files[run_id, name] = data

    def forget(self, run_id: str) -> None:
        """What somebody does who deletes a run in MLflow's own pages."""
        del self.runs[run_id]
        self.deleted.add(run_id)


@dataclass
class FakeRegistry:
    """Model versions in memory; their files in ``folder``, answered below ``url``."""

    tracker: FakeTracker
    folder: Path
    url: str = "http://registry"
    plug: Plug = field(default_factory=lambda: Plug("MLflow"))
    versions: dict[tuple[str, int], ModelVersion] = field(default_factory=dict)
    _last_numbers: dict[str, int] = field(default_factory=dict)

    def next_number(self, problem: str) -> int:
        """A number that no version has or had, as MLflow gives them."""
        self._last_numbers[problem] = self._last_numbers.get(problem, 0) + 1
        return self._last_numbers[problem]

    def register(
        self,
        problem: Problem,
        onnx_bytes: bytes,
        facts: BundleFacts,
        spark_model: Path,
        tags: Mapping[str, str],
        scratch: Path,
    ) -> int:
        self.plug.check()
        self.tracker.get(facts.run_id)
        number = self.next_number(problem.name)
        write_bundle(self.folder / problem.name / str(number), onnx_bytes, facts)
        self.versions[problem.name, number] = ModelVersion(
            problem=problem.name,
            version=number,
            run_id=facts.run_id,
            created_at=datetime.now(UTC),
            family=tags.get("family", ""),
            source=f"{problem.name}/{number}",
            metrics={},
            tags=dict(tags),
        )
        return number

    def get(self, problem: str, version: int) -> ModelVersion:
        self.plug.check()
        if (problem, version) not in self.versions:
            raise NotFoundError(f"MLflow has no version {version} of {problem}.")
        found = self.versions[problem, version]
        return replace(found, metrics=dict(self.tracker.get(found.run_id).metrics))

    def list(self, problem: str) -> tuple[ModelVersion, ...]:
        self.plug.check()
        numbers = sorted((v for name, v in self.versions if name == problem), reverse=True)
        return tuple(self.get(problem, number) for number in numbers)

    def refer(self, problem: str, version: int, source: str, sha256: str = "") -> BundleRef:
        url = f"{self.url}/{source}"
        return BundleRef(problem=problem, version=version, url=url, sha256=sha256)

    def bundle(self, version: ModelVersion, cache: Path) -> Bundle:
        self.plug.check()
        return read_bundle(self.folder / version.source)

    def set_alias(self, problem: str, alias: str, version: int) -> None:
        self.get(problem, version)
        self.drop_alias(problem, alias)
        found = self.versions[problem, version]
        self.versions[problem, version] = replace(found, aliases=(*found.aliases, alias))

    def drop_alias(self, problem: str, alias: str) -> None:
        self.plug.check()
        for key, found in self.versions.items():
            if key[0] == problem:
                kept = tuple(name for name in found.aliases if name != alias)
                self.versions[key] = replace(found, aliases=kept)

    def aliases(self, problem: str) -> dict[str, int]:
        self.plug.check()
        return {
            alias: number
            for (name, number), found in self.versions.items()
            if name == problem
            for alias in found.aliases
        }

    def attach(self, problem: str, version: int, documents: Mapping[str, str]) -> None:
        run_id = self.get(problem, version).run_id
        self.tag(problem, version, {n: f"runs:/{run_id}/{p}" for n, p in documents.items()})

    def tag(self, problem: str, version: int, tags: Mapping[str, str]) -> None:
        self.get(problem, version)
        found = self.versions[problem, version]
        self.versions[problem, version] = replace(found, tags={**found.tags, **tags})


@dataclass
class FakeCluster:
    """A Ray that takes jobs and runs none; ``end`` says how one ended."""

    plug: Plug = field(default_factory=lambda: Plug("Ray"))
    cpus: float = 4
    memory_mb: float = 8192
    commands: dict[str, str] = field(default_factory=dict)
    jobs: dict[str, JobStatus] = field(default_factory=dict)
    printed: dict[str, str] = field(default_factory=dict)

    def submit(
        self, job_id: str, command: str, environment: Mapping[str, str] | None = None
    ) -> None:
        self.plug.check()
        if job_id in self.jobs:
            raise UnavailableError("Ray refused with status 500.")
        self.commands[job_id] = command
        self.jobs[job_id] = JobStatus.RUNNING

    def status(self, job_id: str) -> JobStatus | None:
        self.plug.check()
        return self.jobs.get(job_id)

    def stop(self, job_id: str) -> None:
        self.plug.check()
        if job_id in self.jobs and not self.jobs[job_id].is_over:
            self.end(job_id, JobStatus.STOPPED)

    def logs(self, job_id: str) -> str:
        self.plug.check()
        if job_id not in self.jobs:
            raise UnavailableError("Ray refused with status 404.")
        return self.printed.get(job_id, "")

    def nodes(self) -> Sequence[Node]:
        self.plug.check()
        return [Node("127.0.0.1", self.cpus, self.memory_mb)]

    def end(self, job_id: str, status: JobStatus, printed: str = "") -> None:
        self.jobs[job_id] = status
        self.printed[job_id] = printed


@dataclass
class FakeServing:
    """Replicas that answer with ``shown`` and remember what they were told to serve."""

    shown: ServingStatus = field(default_factory=lambda: ServingStatus(Health.DOWN, 0, ()))
    plug: Plug = field(default_factory=lambda: Plug("Ray"))
    deployed: list[dict[str, BundleRef]] = field(default_factory=list)
    waited_for: list[tuple[str, int]] = field(default_factory=list)
    replicas: ReplicaSet | None = None
    #: What replicas were last told to hold beside Production.
    beside: dict[str, Beside] = field(default_factory=dict)
    #: How often replicas were told of keys.
    handed_out: int = 0

    def hand_out_keys(self) -> bool:
        self.plug.check()
        self.handed_out += 1
        return True

    def status(self) -> ServingStatus:
        return self.shown

    def replica_set(self) -> ReplicaSet | None:
        self.plug.check()
        return self.replicas

    def deploy(
        self, models: Mapping[str, BundleRef], beside: Mapping[str, Beside] = NOTHING_BESIDE
    ) -> None:
        self.plug.check()
        self.deployed.append(dict(models))
        self.beside = dict(beside)

    def wait_until_serving(self, problem: str, version: int, timeout_s: float) -> None:
        self.waited_for.append((problem, version))


@dataclass
class FakeReceiver:
    """Takes messages while ``plug`` is in."""

    plug: Plug = field(default_factory=lambda: Plug("The receiver"))
    taken: list[Message] = field(default_factory=list)

    def send(self, message: Message) -> None:
        self.plug.check()
        self.taken.append(message)


@dataclass
class FakeVersions:
    """Versions of files by their bytes, without a cache."""

    plug: Plug = field(default_factory=lambda: Plug("DVC"))
    tracked: dict[Path, str] = field(default_factory=dict)

    def add(self, path: Path) -> str:
        self.plug.check()
        self.tracked[path] = file_md5(path)
        return self.tracked[path]

    def knows(self, path: Path) -> bool:
        return path in self.tracked and path.exists()

    def forget(self, path: Path) -> None:
        self.plug.check()
        self.tracked.pop(path, None)
        path.unlink(missing_ok=True)

    def fetch(self, path: Path) -> None:
        """There is no other place."""


def facts_of(run_id: str, problem: Problem = PROBLEM, **changed: object) -> BundleFacts:
    """Facts of a version for tests in which nobody looks at the model."""
    facts = BundleFacts(
        problem=problem.name,
        contract_fingerprint=problem.contract.fingerprint(),
        family="lr",
        threshold=0.5,
        run_id=run_id,
        data_version="md5:0",
        git_commit="0" * 40,
        metrics={},
        model_sha256="0" * 64,
    )
    return facts.model_copy(update=changed)


def report_of(auc: float = 0.85) -> EvaluationReport:
    """A whole report of a small run; the same values but for the AUC."""
    curve = Curve(x=(0.0, 0.2, 1.0), y=(0.0, 0.8, 1.0))
    candidates = tuple(
        Candidate(
            index=index,
            family=family,
            params={"depth": 3 + index},
            fold_auc=(0.8, 0.9),
            mean_auc=0.85,
            standard_error=0.05,
            seconds=1.5,
        )
        for index, family in enumerate(("lr", "gbt"))
    )
    return EvaluationReport(
        problem=PROBLEM.name,
        family="gbt",
        params={"maxDepth": 3, "stepSize": 0.1},
        train_rows=80,
        holdout_rows=20,
        cv_auc=0.84,
        threshold=0.45,
        threshold_rule="accuracy",
        metrics={
            "auc": Estimate(value=auc, low=auc - 0.05, high=auc + 0.05),
            "brier": Estimate(value=0.1, low=0.08, high=0.12),
        },
        confidence=0.95,
        confusion=Confusion(true_positive=8, false_positive=1, true_negative=9, false_negative=2),
        roc=curve,
        precision_recall=Curve(x=(0.0, 1.0), y=(1.0, 0.5)),
        calibration=(
            CalibrationBin(mean_predicted=0.2, observed_rate=0.1, rows=10),
            CalibrationBin(mean_predicted=0.8, observed_rate=0.9, rows=10),
        ),
        weight_kind="importance",
        weights=(
            FeatureWeight(feature="weight", weight=0.3),
            FeatureWeight(feature="colour", weight=0.7),
        ),
        candidates=candidates,
        parity=ParityResult(rows=100, max_difference=2e-7, tolerance=1e-5),
        columns=(ColumnSummary(column="stones", rows=80, missing=8, fill_value=1.0),),
    )


#: What is taken of a given file.
INTAKE = load_params(CODE_ROOT / "params.yaml").intake
#: Of a model that tells sweet plums by their weight; other inputs only make it worse.
WEIGHTS: Mapping[str, float] = MappingProxyType({"weight": 0.1})
BIAS = -5.0


def holdout_of_plums(rows: int = 200, seed: int = 5) -> pa.Table:
    """Rows with labels, of which the sweet ones are heavier."""
    random = np.random.default_rng(seed)
    label = np.tile([0.0, 1.0], rows // 2)
    return pa.table(
        {
            ROW_ID: pa.array(range(label.size), pa.int64()),
            LABEL: label,
            "weight": np.clip(55 + 10 * (2 * label - 1) + random.normal(0, 10, label.size), 2, 99),
            "stones": random.integers(1, 4, label.size).astype(float),
            "colour": random.choice(["blue", "yellow"], label.size).tolist(),
        }
    )


@dataclass(frozen=True)
class World:
    """An installation on fakes: real services and a real database, no other process."""

    tracker: FakeTracker
    registry: FakeRegistry
    cluster: FakeCluster
    serving: FakeServing
    receiver: FakeReceiver
    pilothouse: Pilothouse

    def add_batch(self, batch_id: str, problem: str = "plums", rows: int = 100) -> Batch:
        """Records a batch whose rows nobody will read."""
        added, version = datetime.now(UTC), f"md5:{batch_id}"
        batch = Batch(batch_id, problem, "a.csv", batch_id, version, rows, 0, "ann", added)
        BatchRecords(self.pilothouse.database).add(batch)
        return batch

    def start(self) -> Run:
        return self.pilothouse.runs.start(PROBLEM.name, profile=None, overrides={}, actor="ann")

    def train(
        self,
        auc: float = 0.85,
        *,
        fingerprint: str | None = None,
        weights: Mapping[str, float] = WEIGHTS,
    ) -> Run:
        """A run that has finished with a registered version."""
        run = self.start()
        self.complete(run.id, auc, fingerprint=fingerprint, weights=weights)
        return self.pilothouse.runs.get(run.id)

    def complete(
        self,
        run_id: str,
        auc: float,
        *,
        fingerprint: str | None = None,
        weights: Mapping[str, float] = WEIGHTS,
    ) -> None:
        """Does what a run's own process does; ``weights`` are those of the model."""
        report, model = report_of(auc), tiny_model(weights, BIAS)
        self.tracker.log(run_id, {}, {"auc": auc, "parity_max_difference": 2e-7})
        folder = self.registry.folder / "reports" / run_id
        folder.mkdir(parents=True)
        (folder / "report.json").write_text(report.model_dump_json(), encoding="utf-8")
        rows = holdout_of_plums()
        said = Scorer(PROBLEM, model).probabilities(contract_columns(rows, PROBLEM.contract))
        write_predictions(rows, said, PROBLEM.contract, folder / "predictions.parquet")
        self.tracker.log_files(run_id, folder, "report")
        contract = fingerprint or PROBLEM.contract.fingerprint()
        tags = {"family": "gbt", "contract_fingerprint": contract}
        facts = facts_of(
            run_id, contract_fingerprint=contract, model_sha256=hashlib.sha256(model).hexdigest()
        )
        version = self.registry.register(PROBLEM, model, facts, folder, tags, folder / "scratch")
        self.tracker.tag(run_id, {"model_version": str(version)})
        self.tracker.finish(run_id, RunStatus.FINISHED)
        self.cluster.end(job_of(run_id), JobStatus.SUCCEEDED)

    def put_into_production(self) -> Run:
        """A run whose version serves."""
        run = self.train()
        self.pilothouse.promotions.consider(run)
        return run

    def keep_predictions(self, run_id: str, noise: float) -> None:
        """What a run's model says of 200 rows; less noise is a better model."""
        label = np.tile([0.0, 1.0], 100)
        score = label + noise * np.random.default_rng(5).normal(0, 1, label.size)
        holdout = pa.table(
            {
                ROW_ID: list(range(label.size)),
                LABEL: label,
                "weight": np.linspace(20, 90, label.size),
                "stones": np.tile([1.0, 2.0, 2.0, 1.0], 50),
                "colour": ["blue", "blue", "yellow", "yellow"] * 50,
            }
        )
        path = self.registry.folder / run_id / "predictions.parquet"
        path.parent.mkdir(parents=True)
        write_predictions(holdout, 1 / (1 + np.exp(-score)), PROBLEM.contract, path)
        self.tracker.log_files(run_id, path, "report")

    def close(self) -> None:
        self.pilothouse.database.close()


def make_trail(database: Database, home: Path) -> AuditTrail:
    """A trail whose key and anchor lie below ``home``."""
    return connect_trail(Settings(home=home), database, OneLocalOperator())


def explain_evenly(
    settings: Sequence[Mapping[str, ParamValue]], values: Sequence[float]
) -> Mapping[str, float]:
    """Every parameter explains as much as the next."""
    return dict.fromkeys(settings[0], 1 / len(settings[0]))


def job_of(run_id: str) -> str:
    """Id of the Ray Job of a run."""
    return f"{PROBLEM.name}-{run_id}"


@dataclass(frozen=True)
class Accounts:
    """People who can be told apart."""

    told_apart: bool = True

    def role_of(self, actor: str) -> str:
        return OneLocalOperator().role_of(actor)

    def lacks(self, actor: str, action: Action) -> str:
        return ""

    def standing(self, actor: str) -> Standing:
        return OneLocalOperator().standing(actor)

    def token_known_to(self, actor: str) -> str:
        return ""


def make_world(
    folder: Path,
    *,
    identities: Identities | None = None,
    approvals_required: int = 1,
    intake: IntakeParams = INTAKE,
    slo: dict[str, SloParams] | None = None,
    versions: Callable[[Settings], Any] = lambda settings: FakeVersions(),
    **changed: object,
) -> World:
    """An empty installation below ``folder``; ``changed`` are settings."""
    settings = Settings(home=folder / "home", **changed)
    params = load_params(CODE_ROOT / "params.yaml").model_copy(
        update={
            "problems": (PROBLEM.name,),
            "bootstrap": (PROBLEM.name,),
            # No test meets a check that it did not start.
            "schedule": ScheduleParams(checks={}),
        }
    )
    promotion = params.promotion.model_copy(update={"approvals_required": approvals_required})
    # There is no service level objective unless a test says so.
    rollout = params.rollout.model_copy(update={"slo": slo or {}})
    params = params.model_copy(
        update={"promotion": promotion, "intake": intake, "rollout": rollout}
    )
    database = Database(address_in(settings.home))
    database.migrate()
    tracker, cluster, serving = FakeTracker(), FakeCluster(), FakeServing()
    registry, receiver = FakeRegistry(tracker, folder / "registry"), FakeReceiver()
    # The services are typed by the real adapters; tests/contract holds the fakes to those.
    ports: Any = SimpleNamespace(
        database=database,
        tracker=tracker,
        registry=registry,
        cluster=cluster,
        serving=serving,
        versions=versions(settings),
        receiver=receiver,
        accounts=AccountRecords(database),
        identities=identities or People(AccountRecords(database), has_login=False),
    )
    assembled = assemble(settings, params, {PROBLEM.name: PROBLEM}, ports)
    pilothouse = replace(
        assembled, experiments=ExperimentService(database, ports.tracker, explain_evenly)
    )
    return World(tracker, registry, cluster, serving, receiver, pilothouse)
