"""A sweep: every family searched with every profile, some times over, each with its bill.

Nobody but the sweep should use the machine meanwhile: it measures time.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from pyspark.sql import SparkSession

from core.domain import Progress, Stage
from core.errors import TrainingError
from core.params import Profile, TrainingParams
from core.problems.contract import Problem
from core.training import pipeline
from core.training.adaptive import Proposers, best_of
from core.training.boosting import boosting_curve
from core.training.fit import FitResult
from core.training.sweep_report import BoostingPoint, SweepMeasurement, SweepReport
from core.training.usage import Usage
from core.training.workspace import Workspace

LOG = logging.getLogger(__name__)
BOOSTED = "gbt"
#: Enough that both JVMs have loaded and compiled what a family needs.
WARM_UP_FOLDS = 2


class Meter(Protocol):
    """Takes down what a session's work costs while it is open."""

    def phase(self, name: str) -> AbstractContextManager[None]:
        """Names a part of the work."""
        ...

    def usage(self, cores: int) -> Usage | None:
        """The bill, once the meter is closed; ``None`` if nothing could be measured."""
        ...


#: Starts Spark with a profile, and ends it. No session may inherit a JVM from another.
OpenSession = Callable[[Profile], AbstractContextManager[SparkSession]]
OpenMeter = Callable[[SparkSession], AbstractContextManager[Meter]]


@dataclass(frozen=True)
class SweepPlan:
    """What is measured, and on what machine."""

    problem: Problem
    training: TrainingParams
    profiles: tuple[Profile, ...]
    families: tuple[str, ...]
    repeat: int
    git_commit: str
    physical_cores: int

    @property
    def steps(self) -> int:
        """Pieces of work that progress counts: sessions, measurements, the curve."""
        return len(self.profiles) * self.repeat * (1 + len(self.families)) + 1


@dataclass(frozen=True)
class SweepTools:
    """What a sweep works with; tests and the job bring their own."""

    open_session: OpenSession
    open_meter: OpenMeter
    propose: Proposers
    on_progress: Callable[[Progress], None]


@dataclass(frozen=True)
class _Session:
    """An open session: with which profile, the how many-th, and what its start took."""

    spark: SparkSession
    profile: Profile
    number: int
    start_seconds: float


@dataclass(frozen=True)
class _Measured:
    value: SweepMeasurement
    fit: FitResult


def run_sweep(plan: SweepPlan, tools: SweepTools, source: Workspace, scratch: Path) -> SweepReport:
    """Measures everything and returns what was found.

    Repeats go round all profiles, so that a machine that gets slower or busier meanwhile
    is not taken for a profile that is.

    Args:
        plan: what to measure.
        tools: how to start Spark, meter it, and say how far it is.
        source: holds the validated rows.
        scratch: a folder for the models, which are thrown away.

    Raises:
        TrainingError: a measurement has no bill, or a model could not be trained.
        ResourceError: Spark did not start with a profile.
    """
    started_at = datetime.now(UTC)
    steps = _Steps(plan, tools)
    sessions = [(profile, n) for n in range(1, plan.repeat + 1) for profile in plan.profiles]
    measured: list[_Measured] = []
    boosting: tuple[BoostingPoint, ...] = ()
    for profile, number in sessions:
        turn = f"repeat {number} of {plan.repeat}"
        steps.begin(Stage.START, f"{profile.name}, {turn}")
        before = time.perf_counter()
        with tools.open_session(profile) as spark:
            session = _Session(spark, profile, number, time.perf_counter() - before)
            _warm_up(spark, plan, tools, _workspace(scratch / "warm-up", source))
            for family in plan.families:
                steps.begin(Stage.TRAIN, f"{profile.name}, {family}, {turn}")
                ws = _workspace(scratch / "measured", source)
                measured.append(_measure(session, plan, tools, family, ws))
            if BOOSTED in plan.families and (profile, number) == sessions[-1]:
                steps.begin(Stage.TRAIN, "boosting by depth and iterations")
                ws = _workspace(scratch / "boosting", source)
                boosting = _curve(spark, plan, measured, ws)
    shutil.rmtree(scratch, ignore_errors=True)
    return SweepReport(
        problem=plan.problem.name,
        started_at=started_at,
        physical_cores=plan.physical_cores,
        train_rows=measured[0].fit.train_rows,
        folds=plan.training.split.folds,
        git_commit=plan.git_commit,
        measurements=tuple(m.value for m in measured),
        boosting=boosting,
    )


class _Steps:
    """Says how far a sweep is, in steps of equal weight."""

    def __init__(self, plan: SweepPlan, tools: SweepTools) -> None:
        self._steps = plan.steps
        self._tools = tools
        self._done = 0

    def begin(self, stage: Stage, message: str) -> None:
        """The next step begins."""
        LOG.info("%s: %s", stage.value, message)
        percent = round(100 * self._done / self._steps)
        self._tools.on_progress(Progress(stage, percent, message))
        self._done += 1


def _workspace(folder: Path, source: Workspace) -> Workspace:
    ws = Workspace(folder)
    shutil.rmtree(folder, ignore_errors=True)
    ws.validated.parent.mkdir(parents=True)
    shutil.copy(source.validated, ws.validated)
    return ws


def _searching(training: TrainingParams, **changes: object) -> TrainingParams:
    return training.model_copy(update={"search": training.search.model_copy(update=changes)})


def _warm_up(spark: SparkSession, plan: SweepPlan, tools: SweepTools, ws: Workspace) -> None:
    """One candidate a family on two folds, not counted.

    The first work on a session loads classes and is interpreted until the JVMs have
    compiled it; the family that happens to come first would pay for that alone.
    """
    split = plan.training.split.model_copy(update={"folds": WARM_UP_FOLDS})
    for family in plan.families:
        training = _searching(plan.training, families=(family,), trials=1)
        small = training.model_copy(update={"split": split})
        pipeline.preprocess_stage(spark, plan.problem, small, ws)
        pipeline.train_stage(spark, plan.problem, small, ws, _silent, tools.propose)


def _measure(
    session: _Session, plan: SweepPlan, tools: SweepTools, family: str, ws: Workspace
) -> _Measured:
    spark, profile = session.spark, session.profile
    training = _searching(plan.training, families=(family,))
    before = time.perf_counter()
    with tools.open_meter(spark) as meter:
        with meter.phase("preprocess"):
            pipeline.preprocess_stage(spark, plan.problem, training, ws)
        with meter.phase("train"):
            pipeline.train_stage(spark, plan.problem, training, ws, _silent, tools.propose)
        seconds = time.perf_counter() - before
    usage = meter.usage(profile.cores)
    if usage is None:
        raise TrainingError(
            f"What {family} costs on {profile.name} could not be measured.",
            fix="The sweep's log has the reason.",
        )
    fit = FitResult.model_validate_json(ws.fit.read_text(encoding="utf-8"))
    best = best_of(fit.candidates)
    value = SweepMeasurement(
        profile=profile,
        family=family,
        repeat=session.number,
        cv_auc=fit.cv_auc,
        cv_auc_standard_error=best.standard_error if best else None,
        candidates=len(fit.candidates),
        start_seconds=session.start_seconds,
        seconds=seconds,
        usage=usage,
    )
    LOG.info("%s, %s: AUC %.4f in %.1f s", profile.name, family, value.cv_auc, seconds)
    return _Measured(value, fit)


def _curve(
    spark: SparkSession, plan: SweepPlan, measured: list[_Measured], ws: Workspace
) -> tuple[BoostingPoint, ...]:
    fits = (m.fit for m in measured if m.fit.family == BOOSTED)
    best = max(fits, key=lambda fit: fit.cv_auc)
    pipeline.preprocess_stage(spark, plan.problem, plan.training, ws)
    train = pipeline.training_frame(spark, plan.training, ws)
    return boosting_curve(train, plan.problem, plan.training, best.params)


def _silent(_share: float, _message: str) -> None:
    """The sweep tells its own steps; candidates would flood them."""
