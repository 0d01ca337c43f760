"""A sweep: every family searched with every profile, some times over, each with its bill.

Nobody but the sweep should use the machine meanwhile: it measures time.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from core.domain import Progress, Stage
from core.params import Profile, TrainingParams
from core.settings_store import S3Store
from core.training.sweep_report import BoostingPoint, SweepMeasurement, SweepReport

LOG = logging.getLogger(__name__)
BOOSTED = "gbt"


@dataclass(frozen=True)
class SweepPlan:
    """What is measured, and on what machine."""

    problem: str
    #: Packages in which the problem is looked for.
    packages: tuple[str, ...]
    training: TrainingParams
    profiles: tuple[Profile, ...]
    families: tuple[str, ...]
    repeat: int
    git_commit: str
    physical_cores: int
    #: Through which executors get their data; without one they see the scratch folder.
    store: S3Store | None = None


@dataclass(frozen=True)
class SessionTask:
    """What is done in one Spark session, which is new and ends with it."""

    problem: str
    packages: tuple[str, ...]
    training: TrainingParams
    profile: Profile
    families: tuple[str, ...]
    #: Which repeat it is, from 1, of how many.
    number: int
    repeat: int
    #: Whether the boosting curve is measured at the end.
    with_boosting: bool
    #: The rows that keep the contract.
    validated: Path
    #: A folder for the models, which are thrown away.
    scratch: Path
    store: S3Store | None = None

    @property
    def turn(self) -> str:
        """Which repeat, in words."""
        return f"repeat {self.number} of {self.repeat}"


@dataclass(frozen=True)
class SessionResult:
    """What one session measured; ``start_seconds`` of the measurements are still 0."""

    measurements: tuple[SweepMeasurement, ...]
    train_rows: int
    boosting: tuple[BoostingPoint, ...]


#: Hears the stage, the share of the session that is done, and what is going on.
OnProgress = Callable[[Stage, float, str], None]
#: Does a task in a new session; returns the result and the seconds its start took.
RunSession = Callable[[SessionTask, OnProgress], tuple[SessionResult, float]]


def run_sweep(
    plan: SweepPlan,
    run_session: RunSession,
    on_progress: Callable[[Progress], None],
    validated: Path,
    scratch: Path,
) -> SweepReport:
    """Measures everything and returns what was found.

    Repeats go round all profiles, so that a machine that gets slower or busier meanwhile
    is not taken for a profile that is. The boosting curve is measured in the last session.

    Raises:
        TrainingError: a measurement has no bill, or a model could not be trained.
        ResourceError: Spark did not start with a profile.
    """
    started_at = datetime.now(UTC)
    measurements: list[SweepMeasurement] = []
    boosting: tuple[BoostingPoint, ...] = ()
    train_rows = 0
    tasks = _tasks(plan, validated, scratch)
    for index, task in enumerate(tasks):
        tell = _teller(on_progress, index, len(tasks))
        tell(Stage.START, 0.0, f"{task.profile.name}, {task.turn}")
        result, start_seconds = run_session(task, tell)
        started = {"start_seconds": start_seconds}
        measurements += [one.model_copy(update=started) for one in result.measurements]
        boosting, train_rows = result.boosting, result.train_rows
        LOG.info("%s, %s: done", task.profile.name, task.turn)
    return SweepReport(
        problem=plan.problem,
        started_at=started_at,
        physical_cores=plan.physical_cores,
        train_rows=train_rows,
        folds=plan.training.split.folds,
        git_commit=plan.git_commit,
        measurements=tuple(measurements),
        boosting=boosting,
    )


def _tasks(plan: SweepPlan, validated: Path, scratch: Path) -> list[SessionTask]:
    sessions = [(profile, n) for n in range(1, plan.repeat + 1) for profile in plan.profiles]
    return [
        SessionTask(
            problem=plan.problem,
            packages=plan.packages,
            training=plan.training,
            profile=profile,
            families=plan.families,
            number=number,
            repeat=plan.repeat,
            with_boosting=BOOSTED in plan.families and index == len(sessions),
            validated=validated,
            scratch=scratch,
            store=plan.store,
        )
        for index, (profile, number) in enumerate(sessions, start=1)
    ]


def _teller(on_progress: Callable[[Progress], None], index: int, sessions: int) -> OnProgress:
    """Turns the share of one session into percent of the sweep."""

    def tell(stage: Stage, share: float, message: str) -> None:
        on_progress(Progress(stage, round(100 * (index + share) / sessions), message))

    return tell
