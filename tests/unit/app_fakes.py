"""A core without services for the panel's tests: the same methods, values in memory."""

from __future__ import annotations

import itertools
import math
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import TYPE_CHECKING, BinaryIO, cast

import numpy as np
import pyarrow as pa
import pytest
from streamlit.components.v2 import manifest_scanner
from streamlit.testing.v1 import AppTest

from app.components import installation
from core.access.exposure import Exposure
from core.data.batch_comparison import BatchComparison, compare_tables
from core.data.batches import Added, OnProgress
from core.deployment.load_history import LoadPoint
from core.deployment.load_view import ServingLoad, view
from core.domain import Batch, Progress, Run, RunStatus, SoftFinding, Stage, Sweep
from core.domain_serving import (
    Health,
    PredictionAnswer,
    ServedVersion,
    ServiceStatus,
    ServingStatus,
)
from core.errors import NotFoundError, PilothouseError
from core.hosts import LOOPBACK
from core.params import Params, load_params
from core.problems.contract import Problem, Value
from core.problems.titanic import PROBLEM as TITANIC
from core.settings import CODE_ROOT, Settings
from core.training.importance import Importance, importances
from core.training.predictions import HoldoutPredictions
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
from core.training.stage_times import StageTime, StageTimes
from core.training.sweep_report import BoostingPoint, SweepMeasurement, SweepReport
from core.training.usage import Phase, StageCost, Usage, UsagePoint
from tests.unit.app_access_fakes import FakeAccounts
from tests.unit.app_audit_fakes import FakeAudit
from tests.unit.app_promotion_fakes import (
    FakeEvidence,
    FakePromotions,
    make_promotion,
    run_id,
)
from tests.unit.app_promotion_fakes import make_request as make_request
from tests.unit.app_rollout_fakes import FakeRollouts, FakeSlo
from tests.unit.app_trace_values import FakeTracing
from tests.unit.app_watching_fakes import FakeAlerts, FakeChecks

if TYPE_CHECKING:
    from core.training.experiments import RunSummary

NOW = datetime.now(UTC)
FAMILIES = ("gbt", "rf", "lr")


def make_run(
    number: int, status: RunStatus = RunStatus.FINISHED, *, progress: Progress | None = None
) -> Run:
    """Higher numbers are newer."""
    started = NOW - timedelta(hours=3) + timedelta(minutes=number)
    finished = status is RunStatus.FINISHED
    return Run(
        id=run_id(number),
        problem="titanic",
        status=status,
        profile="2c-2g",
        started_by="operator",
        started_at=started,
        ended_at=None if status.is_active else started + timedelta(seconds=97),
        progress=progress,
        error="Spark stopped making progress." if status is RunStatus.FAILED else None,
        model_version=number if finished else None,
    )


def active_run(number: int) -> Run:
    return make_run(
        number,
        RunStatus.RUNNING,
        progress=Progress(Stage.TRAIN, 45, "candidate 5 of 12: Random Forest"),
    )


def make_report(number: int = 0, *, family: str = "gbt") -> EvaluationReport:
    auc = 0.86 + 0.012 * (number % 4)
    grid = [index / 40 for index in range(41)]
    bend = (1 - auc) / auc
    features = (
        "Sex",
        "Fare",
        "Age",
        "Pclass",
        "FarePerPerson",
        "FamilySize",
        "Embarked=S",
        "Embarked=C",
        "SibSp",
        "Parch",
    )
    sign = -1 if family == "lr" else 1
    return EvaluationReport(
        problem="titanic",
        family=family,
        params={"maxDepth": 5, "maxIter": 30, "stepSize": 0.1},
        train_rows=713,
        holdout_rows=178,
        cv_auc=auc - 0.004,
        threshold=0.5 + 0.02 * (number % 3),
        threshold_rule="accuracy",
        metrics={
            name: Estimate(value=value, low=value - 0.04, high=value + 0.03)
            for name, value in (
                ("auc", auc),
                ("accuracy", 0.827),
                ("precision", 0.81 + 0.01 * (number % 2)),
                ("recall", 0.735),
                ("f1", 0.769),
                ("log_loss", 0.421),
                ("brier", 0.132),
            )
        },
        confidence=0.95,
        confusion=Confusion(
            true_positive=50 + number % 5, false_positive=12, true_negative=97, false_negative=18
        ),
        roc=Curve(x=tuple(grid), y=tuple(x**bend for x in grid)),
        precision_recall=Curve(
            x=tuple(grid), y=tuple(1 - 0.6 * x ** (2 + number % 4) for x in grid)
        ),
        calibration=tuple(
            CalibrationBin(
                mean_predicted=(index + 0.5) / 8,
                observed_rate=min(1, max(0, (index + 0.5) / 8 + 0.05 * math.sin(index + number))),
                rows=20 + index,
            )
            for index in range(8)
        ),
        weight_kind="standardized coefficient" if family == "lr" else "importance",
        weights=tuple(
            FeatureWeight(feature=name, weight=0.4 / (1 + index) * (sign if index % 2 else 1))
            for index, name in enumerate(features)
        ),
        candidates=tuple(
            Candidate(
                index=index,
                family=FAMILIES[index % 3],
                params={"maxDepth": 3 + index, "maxIter": 15},
                fold_auc=(0.85, 0.86, 0.87),
                mean_auc=0.84 + 0.003 * index,
                standard_error=0.006,
                seconds=4.2 + index,
                done_s=9.0 + 5.5 * index,
            )
            for index in range(12)
        ),
        parity=ParityResult(rows=20_178, max_difference=6.1e-7, tolerance=1e-5),
        columns=(
            ColumnSummary(column="Age", rows=713, missing=141, fill_value=28.0),
            ColumnSummary(column="Embarked", rows=713, missing=2, fill_value="S"),
            ColumnSummary(column="Sex", rows=713, missing=0, fill_value=None),
        ),
    )


def make_predictions(number: int = 0, *, rows: int = 178) -> HoldoutPredictions:
    """A model on the same rows whatever its number; higher ones up to 3 rank them better."""
    random = np.random.default_rng(0)
    sex = np.where(random.random(rows) < 0.65, "male", "female").astype(object)
    pclass = random.choice([1.0, 2.0, 3.0], size=rows, p=[0.25, 0.2, 0.55])
    age = random.normal(30, 14, rows).clip(0.5).round(0)
    age[::6] = np.nan
    fare = np.exp(random.normal(4.2 - 0.8 * pclass, 0.5)).round(2)
    truth = 2.4 * (sex == "female") - 0.8 * (pclass - 2) - 1.2
    label = (random.random(rows) < 1 / (1 + np.exp(-truth))).astype(float)
    own = np.random.default_rng(number).normal(0, 1.6 - 0.4 * (number % 4), rows)
    return HoldoutPredictions(
        row_id=np.arange(rows) * 5,
        label=label,
        probability=1 / (1 + np.exp(-(truth + own))),
        columns={"Pclass": pclass, "Sex": sex, "Age": age, "Fare": fare},
    )


def make_usage(number: int = 0, *, cores: int = 2, seconds: float = 24.0) -> Usage:
    """Two phases; the second keeps the executors' cores busy."""
    begin = seconds / 4
    moments = [seconds * index / 40 for index in range(1, 41)]
    wave = [0.15 * math.sin(1.7 * index + number) for index in range(40)]
    points = tuple(
        UsagePoint(
            at_s=at,
            driver_cores=(0.8 if at < begin else 0.25) + abs(swing),
            executor_cores=(0.3 if at < begin else 0.72 * cores) + swing,
            driver_rss_mb=520 + 4 * at,
            executor_rss_mb=380 * cores * min(1.0, 0.5 + at / seconds),
        )
        for at, swing in zip(moments, wave, strict=True)
    )
    core_seconds = sum(p.driver_cores + p.executor_cores for p in points) * seconds / 40
    slowest = tuple(
        StageCost(
            id=40 - index,
            description=f"gbt: trial {index}, fold {index % 3}",
            begin_s=begin + index,
            seconds=3.4 - 0.3 * index,
            tasks=1 if index % 2 else 4,
            task_s=3.1 - 0.3 * index,
            gc_s=0.1,
            shuffle_mb=1.5 * index,
            spilled_mb=12.5 if index == 1 else 0.0,
            peak_execution_memory_mb=64.0,
            skew=None if index % 2 else 4.2 - index,
        )
        for index in range(6)
    )
    return Usage(
        cores=cores,
        wall_s=seconds,
        core_seconds=core_seconds,
        peak_rss_mb=max(p.driver_rss_mb + p.executor_rss_mb for p in points),
        mean_utilization=core_seconds / (seconds * cores),
        task_s=20.0,
        gc_s=0.6,
        gc_share=0.03,
        shuffle_mb=9.0,
        spilled_mb=12.5,
        peak_execution_memory_mb=64.0,
        stages=230,
        phases=(
            Phase(name="preprocess", begin_s=0.0, end_s=begin),
            Phase(name="train", begin_s=begin, end_s=seconds),
        ),
        points=points,
        slowest=slowest,
    )


def make_sweep(
    number: int,
    status: RunStatus = RunStatus.FINISHED,
    *,
    profiles: tuple[str, ...] = ("1c-1g", "2c-2g", "4c-4g"),
    families: tuple[str, ...] = ("lr", "rf", "gbt"),
    progress: Progress | None = None,
) -> Sweep:
    """Higher numbers are newer."""
    started = NOW - timedelta(hours=5) + timedelta(minutes=10 * number)
    return Sweep(
        id=run_id(1000 + number),
        problem="titanic",
        status=status,
        profiles=profiles,
        families=families,
        repeat=2,
        started_by="operator",
        started_at=started,
        ended_at=None if status.is_active else started + timedelta(seconds=412),
        progress=progress,
        error="Spark stopped making progress." if status is RunStatus.FAILED else None,
    )


def make_sweep_report(sweep: Sweep, params: Params, *, physical_cores: int = 2) -> SweepReport:
    """The more cores the faster, up to those of the machine; the same AUC on any."""
    first = {"lr": 6.0, "rf": 22.0, "gbt": 41.0}
    auc = {"lr": 0.861, "rf": 0.874, "gbt": 0.879}
    measured = []
    for name in sweep.profiles:
        profile = params.profiles[name]
        speed = min(profile.cores, physical_cores) ** 0.6
        for repeat, family in itertools.product(range(1, sweep.repeat + 1), sweep.families):
            seconds = first[family] / speed * (1 + 0.04 * repeat)
            measured.append(
                SweepMeasurement(
                    profile=profile,
                    family=family,
                    repeat=repeat,
                    cv_auc=auc[family],
                    cv_auc_standard_error=0.008,
                    candidates=12,
                    start_seconds=19.0 + repeat,
                    seconds=seconds,
                    usage=make_usage(repeat, cores=profile.cores, seconds=seconds),
                )
            )
    boosting = tuple(
        BoostingPoint(
            max_depth=depth,
            iterations=iterations,
            cv_auc=0.88 - 0.002 * depth - (0.05 + 0.01 * depth) * math.exp(-iterations / 12),
            seconds=0.4 * depth * iterations,
        )
        for depth, iterations in itertools.product((3, 5, 7), (1, 5, 10, 20, 30, 50))
    )
    return SweepReport(
        problem=sweep.problem,
        started_at=sweep.started_at,
        physical_cores=physical_cores,
        train_rows=713,
        folds=3,
        git_commit="0" * 40,
        measurements=tuple(measured),
        boosting=boosting,
    )


@dataclass(frozen=True)
class FakeSummary:
    run: Run
    family: str | None
    params: Mapping[str, str]
    metrics: Mapping[str, float]


@dataclass
class FakeRuns:
    runs: list[Run] = field(default_factory=list)
    failure: PilothouseError | None = None
    start_failure: Exception | None = None
    text: str = "12:00:01 stage ingest\n12:00:07 891 rows"
    started: list[tuple[str, str | None, dict[str, str], str]] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)

    def start(
        self, problem: str, *, profile: str | None, overrides: Mapping[str, str], actor: str
    ) -> Run:
        if self.start_failure:
            raise self.start_failure
        self.started.append((problem, profile, dict(overrides), actor))
        run = make_run(len(self.runs) + 1, RunStatus.QUEUED)
        self.runs.insert(0, run)
        return run

    def list(self, problem: str | None = None, limit: int = 100) -> tuple[Run, ...]:
        if self.failure:
            raise self.failure
        return tuple(self.runs[:limit])

    def get(self, run_id: str) -> Run:
        for run in self.runs:
            if run.id == run_id:
                return run
        raise NotFoundError("There is no such run.")

    def log(self, run_id: str, *, tail: int = 200) -> str:
        return self.text

    def cancel(self, run_id: str, *, actor: str) -> Run:
        self.cancelled.append(run_id)
        run = make_run(int(run_id[8:], 16), RunStatus.CANCELLED)
        self.runs = [run if one.id == run_id else one for one in self.runs]
        return run


@dataclass
class FakeExperiments:
    runs: FakeRuns
    failure: PilothouseError | None = None
    #: As runs of an older release are.
    without_predictions: bool = False
    without_usage: bool = False

    def read_ahead(self, problems: Sequence[str]) -> None:
        """There is nothing to wait for."""

    def table(self, problem: str, limit: int = 200) -> tuple[RunSummary, ...]:
        if self.failure:
            raise self.failure
        summaries = tuple(self._summary(run) for run in self.runs.runs[:limit])
        # The real class would bring MLflow with it, which takes seconds to import.
        return cast("tuple[RunSummary, ...]", summaries)

    def summary(self, run_id: str) -> RunSummary:
        return cast("RunSummary", self._summary(self.runs.get(run_id)))

    def _summary(self, run: Run) -> FakeSummary:
        if run.status is not RunStatus.FINISHED:
            return FakeSummary(run, None, {}, {})
        number = int(run.id[8:], 16)
        report = make_report(number, family=FAMILIES[number % 3])
        metrics = {name: one.value for name, one in report.metrics.items()}
        metrics |= {"auc_low": report.metrics["auc"].low, "auc_high": report.metrics["auc"].high}
        metrics["wall_seconds"] = 97.0 + number
        metrics |= {"core_seconds": 120.5 + number, "peak_rss_mb": 1480.0, "gc_share": 0.031}
        params = {"family": report.family} | {
            f"model.{key}": str(value) for key, value in report.params.items()
        }
        return FakeSummary(run, report.family, params, {**metrics, "cv_auc": report.cv_auc})

    def report(self, run_id: str) -> EvaluationReport:
        if self.failure:
            raise self.failure
        if self.runs.get(run_id).status is not RunStatus.FINISHED:
            raise NotFoundError("This run has no evaluation.", fix="Pick a finished run.")
        number = int(run_id[8:], 16)
        return make_report(number, family=FAMILIES[number % 3])

    def predictions(self, run_id: str) -> HoldoutPredictions:
        if self.failure:
            raise self.failure
        if self.without_predictions or self.runs.get(run_id).status is not RunStatus.FINISHED:
            raise NotFoundError("MLflow has no such file.")
        return make_predictions(int(run_id[8:], 16))

    def usage(self, run_id: str) -> Usage:
        if self.without_usage or self.runs.get(run_id).status is not RunStatus.FINISHED:
            raise NotFoundError("MLflow has no such file.")
        return make_usage(int(run_id[8:], 16))

    def stage_times(self, run_id: str) -> StageTimes | None:
        if self.failure:
            raise self.failure
        if self.without_usage:
            return None
        taken = (StageTime(Stage.START, 0.4), StageTime(Stage.TRAIN, 31.2))
        return StageTimes(taken, spark_was_warm=True)

    def importance(self, report: EvaluationReport) -> tuple[Importance, ...]:
        return importances(report.candidates, lambda settings, _: dict.fromkeys(settings[0], 0.2))


@dataclass
class FakeSweeps:
    params: Params
    sweeps: list[Sweep] = field(default_factory=list)
    failure: PilothouseError | None = None
    start_failure: Exception | None = None
    started: list[tuple[str, tuple[str, ...], tuple[str, ...], int, dict[str, str], str]] = field(
        default_factory=list
    )
    cancelled: list[str] = field(default_factory=list)

    def start(
        self,
        problem: str,
        *,
        profiles: Sequence[str],
        families: Sequence[str],
        repeat: int,
        overrides: Mapping[str, str],
        actor: str,
    ) -> Sweep:
        if self.start_failure:
            raise self.start_failure
        asked = (tuple(profiles), tuple(families))
        self.started.append((problem, *asked, repeat, dict(overrides), actor))
        sweep = make_sweep(
            len(self.sweeps) + 1, RunStatus.QUEUED, profiles=asked[0], families=asked[1]
        )
        self.sweeps.insert(0, sweep)
        return sweep

    def list(self, problem: str, limit: int = 100) -> tuple[Sweep, ...]:
        if self.failure:
            raise self.failure
        return tuple(self.sweeps[:limit])

    def get(self, sweep_id: str) -> Sweep:
        for sweep in self.sweeps:
            if sweep.id == sweep_id:
                return sweep
        raise NotFoundError("There is no such sweep.")

    def report(self, sweep_id: str) -> SweepReport:
        return make_sweep_report(self.get(sweep_id), self.params)

    def log(self, sweep_id: str, *, tail: int = 200) -> str:
        return "12:00:01 start Spark: 1c-1g, repeat 1 of 2"

    def cancel(self, sweep_id: str, *, actor: str) -> Sweep:
        self.cancelled.append(sweep_id)
        ended = replace(self.get(sweep_id), status=RunStatus.CANCELLED, ended_at=NOW)
        self.sweeps = [ended if one.id == sweep_id else one for one in self.sweeps]
        return ended


def make_batch(number: int, **changed: object) -> Batch:
    """Higher numbers are newer."""
    batch = Batch(
        id=f"{number * 2654435761 % 2**32:08x}{number:024x}",
        problem="titanic",
        name=f"passengers-{number}.csv",
        sha256=f"{number:064x}",
        data_version=f"md5:{number:032x}",
        rows=400 + number,
        given_labels=0,
        added_by="operator",
        added_at=NOW - timedelta(days=2) + timedelta(minutes=number),
        dropped=("PassengerId", "Name"),
        findings=(SoftFinding("Fare", "outside the usual range 0 to 520", 2),),
    )
    return replace(batch, **changed)


def make_rows(number: int = 0, *, rows: int = 300) -> pa.Table:
    """Rows of a Titanic batch; the fares are higher with higher numbers."""
    random = np.random.default_rng(number)
    fields = {
        field.name: pa.array(random.choice([*field.categories, None], rows), pa.string())
        if field.categories
        else pa.array(random.gamma(2.0, 12.0 * (1 + number), rows).round(1))
        for field in TITANIC.contract.fields
    }
    labels = pa.array(random.integers(0, 2, rows), pa.float64())
    return pa.table({"row_id": pa.array(range(rows)), **fields, "label": labels})


@dataclass
class FakeBatches:
    batches: list[Batch] = field(default_factory=list)
    failure: PilothouseError | None = None
    #: Why the next file is refused.
    refusal: Exception | None = None
    #: The next file is checked once this is set.
    gate: threading.Event = field(default_factory=threading.Event)
    added: list[tuple[str, bytes, str, str]] = field(default_factory=list)

    def add(
        self,
        problem: str,
        given: BinaryIO,
        *,
        name: str,
        actor: str,
        on_progress: OnProgress,
    ) -> Added:
        on_progress(0.42, "checking")
        self.gate.wait(10)
        if self.refusal:
            raise self.refusal
        self.added.append((problem, given.read(), name, actor))
        known = [one for one in self.batches if one.name == name]
        if known:
            return Added(known[0], is_new=False)
        batch = make_batch(1 + len(self.batches), name=name)
        self.batches.insert(0, batch)
        return Added(batch, is_new=True)

    def list(self, problem: str, limit: int = 100) -> tuple[Batch, ...]:
        if self.failure:
            raise self.failure
        return tuple(self.batches[:limit])

    def compare(self, batch_id: str, other: str) -> BatchComparison:
        if other == "reference":
            raise NotFoundError("There is no reference of titanic here.")
        return compare_tables(make_rows(0), make_rows(2), TITANIC.contract)


@dataclass
class FakeServing:
    state: ServingStatus | PilothouseError = field(
        default_factory=lambda: ServingStatus(Health.HEALTHY, 0, ())
    )
    answer: PredictionAnswer | PilothouseError = field(
        default_factory=lambda: PredictionAnswer("b7e1-42", 1, 0, 0.123456, 3.21)
    )
    asked: list[tuple[str, dict[str, Value | None]]] = field(default_factory=list)

    def status(self) -> ServingStatus:
        if isinstance(self.state, PilothouseError):
            raise self.state
        return self.state

    def predict(self, problem: str, record: Mapping[str, Value | None]) -> PredictionAnswer:
        self.asked.append((problem, dict(record)))
        if isinstance(self.answer, PilothouseError):
            raise self.answer
        return self.answer


@dataclass
class FakeLoad:
    """The load as it is shown; by itself nothing is deployed."""

    state: ServingLoad | PilothouseError = field(
        default_factory=lambda: view(None, (), (), now=datetime.now(UTC))
    )
    points: tuple[LoadPoint, ...] | PilothouseError = ()

    def look(self) -> ServingLoad:
        if isinstance(self.state, PilothouseError):
            raise self.state
        return self.state

    def recent(self) -> tuple[LoadPoint, ...]:
        if isinstance(self.points, PilothouseError):
            raise self.points
        return self.points


@dataclass
class FakeHealth:
    services: tuple[ServiceStatus, ...] | PilothouseError = ()

    def check(self) -> tuple[ServiceStatus, ...]:
        if isinstance(self.services, PilothouseError):
            raise self.services
        return self.services


def services(
    *, down: tuple[str, ...] = (), starting: tuple[str, ...] = ()
) -> tuple[ServiceStatus, ...]:
    addresses = {
        "panel": "http://127.0.0.1:8501",
        "serving": "http://127.0.0.1:8000",
        "mlflow": "http://127.0.0.1:5000",
        "ray": "http://127.0.0.1:8265",
        "worker": "",
    }
    found = []
    for name, address in addresses.items():
        health = Health.HEALTHY
        detail = ""
        if name in down:
            health, detail = Health.DOWN, f"Nothing answers at {address}. Run `make up`."
        elif name in starting:
            health, detail = Health.STARTING, "Loading its models."
        found.append(ServiceStatus(name, address, health, detail))
    return tuple(found)


@dataclass
class FakeCore:
    """The facade's shape with fakes behind it."""

    settings: Settings
    params: Params
    problems: Mapping[str, Problem]
    runs: FakeRuns
    experiments: FakeExperiments
    sweeps: FakeSweeps
    promotions: FakePromotions
    evidence: FakeEvidence
    serving: FakeServing
    tracing: FakeTracing
    monitoring: FakeChecks
    alerts: FakeAlerts
    batches: FakeBatches
    health: FakeHealth
    load: FakeLoad = field(default_factory=FakeLoad)
    rollouts: FakeRollouts = field(default_factory=FakeRollouts)
    slo: FakeSlo = field(default_factory=FakeSlo)
    audit: FakeAudit = field(default_factory=FakeAudit)
    exposure: Exposure = field(default_factory=lambda: Exposure(LOOPBACK))
    accounts: FakeAccounts = field(default_factory=FakeAccounts)

    def as_module(self) -> ModuleType:
        """Stands where ``core.bootstrap`` is imported from."""
        module = ModuleType("core.bootstrap")
        vars(module)["connect"] = lambda: self
        return module


def make_core(*runs: Run, production: int | None = None) -> FakeCore:
    fake_runs = FakeRuns(list(runs))
    served = (
        ()
        if production is None
        else (ServedVersion("titanic", production, run_id(production), "gbt", 0.52),)
    )
    params = load_params(CODE_ROOT / "params.yaml")
    return FakeCore(
        settings=Settings(),
        params=params,
        problems={"titanic": TITANIC},
        runs=fake_runs,
        experiments=FakeExperiments(fake_runs),
        sweeps=FakeSweeps(params),
        promotions=FakePromotions([] if production is None else [make_promotion(production)]),
        evidence=FakeEvidence(),
        serving=FakeServing(ServingStatus(Health.HEALTHY, 1, served)),
        tracing=FakeTracing(),
        monitoring=FakeChecks(),
        alerts=FakeAlerts(),
        batches=FakeBatches(),
        health=FakeHealth(services()),
    )


def open_panel(
    monkeypatch: pytest.MonkeyPatch, core: FakeCore, page: str = "", **query: str
) -> AppTest:
    """Opens a page of the panel, such as ``train``, over a fake core."""
    # Every AppTest searches all installed packages for components; there are none, and
    # the search is nearly all the time that a test takes.
    monkeypatch.setattr(manifest_scanner, "scan_component_manifests", list)
    monkeypatch.setitem(sys.modules, "core.bootstrap", core.as_module())
    installation.forget()
    panel = AppTest.from_file(str(CODE_ROOT / "app" / "main.py"), default_timeout=20)
    if page:
        panel.switch_page(f"views/{page}.py")
    for name, value in query.items():
        panel.query_params[name] = value
    return panel.run()


def texts(panel: AppTest) -> str:
    """Everything a page says, in one text."""
    kinds = (
        panel.title,
        panel.subheader,
        panel.markdown,
        panel.caption,
        panel.info,
        panel.warning,
        panel.error,
        panel.success,
        panel.code,
    )
    said = [str(element.value) for kind in kinds for element in kind]
    return "\n".join(said + [f"{one.label}: {one.value}" for one in panel.metric])
