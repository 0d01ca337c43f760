"""The course of a sweep, with sessions that measure nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from core.domain import Progress, Stage
from core.errors import ResourceError
from core.params import load_params
from core.settings import CODE_ROOT
from core.training.sweep import OnProgress, SessionResult, SessionTask, SweepPlan, run_sweep
from core.training.sweep_report import SweepReport
from tests.unit.sweep_values import MIDDLE, SMALL, curve_of, measured


@dataclass
class FakeSessions:
    """Does tasks at once; each start takes ten seconds more than the one before."""

    tasks: list[SessionTask] = field(default_factory=list)
    fails_on: str = ""

    def __call__(self, task: SessionTask, tell: OnProgress) -> tuple[SessionResult, float]:
        if task.profile.name == self.fails_on:
            raise ResourceError("Spark could not start.")
        self.tasks.append(task)
        tell(Stage.TRAIN, 0.5, f"{task.profile.name}, {task.turn}")
        result = SessionResult(
            measurements=tuple(
                measured(task.profile, family, task.number) for family in task.families
            ),
            train_rows=80,
            boosting=curve_of(3, 0.8, 0.9) if task.with_boosting else (),
        )
        return result, 10.0 * len(self.tasks)


def _run(
    sessions: FakeSessions,
    told: list[Progress],
    families: tuple[str, ...] = ("lr", "gbt"),
) -> SweepReport:
    plan = SweepPlan(
        problem="plums",
        packages=("core.problems",),
        training=load_params(CODE_ROOT / "params.yaml").training,
        profiles=(SMALL, MIDDLE),
        families=families,
        repeat=2,
        git_commit="0" * 40,
        physical_cores=2,
    )
    return run_sweep(plan, sessions, told.append, Path("rows.parquet"), Path("scratch"))


def test_repeats_go_round_all_profiles() -> None:
    sessions = FakeSessions()
    report = _run(sessions, [])
    order = [(task.profile.name, task.number) for task in sessions.tasks]
    assert order == [("1c-1g", 1), ("2c-2g", 1), ("1c-1g", 2), ("2c-2g", 2)]
    assert [(m.profile.name, m.repeat, m.family) for m in report.measurements] == [
        (profile, repeat, family) for profile, repeat in order for family in ("lr", "gbt")
    ]


def test_the_start_of_a_session_is_that_of_its_measurements() -> None:
    report = _run(FakeSessions(), [])
    assert [m.start_seconds for m in report.measurements] == [10, 10, 20, 20, 30, 30, 40, 40]


@pytest.mark.parametrize(
    ("families", "expected"),
    [(("lr", "gbt"), [False, False, False, True]), (("lr",), [False] * 4)],
)
def test_boosting_is_measured_once_and_only_with_its_family(
    families: tuple[str, ...], expected: list[bool]
) -> None:
    sessions = FakeSessions()
    report = _run(sessions, [], families)
    assert [task.with_boosting for task in sessions.tasks] == expected
    assert bool(report.boosting) is expected[-1]


def test_progress_only_grows_and_says_what_is_going_on() -> None:
    told: list[Progress] = []
    _run(FakeSessions(), told)
    assert [one.percent for one in told] == [0, 12, 25, 38, 50, 62, 75, 88]
    assert told[1] == Progress(Stage.TRAIN, 12, "1c-1g, repeat 1 of 2")
    assert told[6] == Progress(Stage.START, 75, "2c-2g, repeat 2 of 2")


def test_a_profile_that_does_not_start_ends_the_sweep() -> None:
    with pytest.raises(ResourceError):
        _run(FakeSessions(fails_on="2c-2g"), [])
