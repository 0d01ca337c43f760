"""The plan of a search: which models, in which order, none twice."""

from __future__ import annotations

import pytest

from core.training.search import Trial, plan_trials
from core.training.splits import partitions_for

SPACE = {
    "lr": {"regParam": (0.0, 0.01, 0.1), "elasticNetParam": (0.0, 0.5, 1.0)},
    "rf": {"numTrees": (10, 20), "maxDepth": (4, 6)},
}
EVERYTHING = 10_000


def _keys(trials: tuple[Trial, ...]) -> list[tuple[object, ...]]:
    return [(trial.family, *sorted(trial.params.items())) for trial in trials]


def test_the_whole_grid_is_tried_once_and_no_more() -> None:
    trials = plan_trials(SPACE, ("rf",), EVERYTHING, seed=7)
    assert sorted(_keys(trials)) == sorted(
        ("rf", ("maxDepth", depth), ("numTrees", trees)) for depth in (4, 6) for trees in (10, 20)
    )


def test_without_regularisation_its_kind_makes_no_other_model() -> None:
    trials = plan_trials(SPACE, ("lr",), EVERYTHING, seed=7)
    assert len(trials) == len(set(_keys(trials))) == 1 + 2 * 3
    (plain,) = [trial for trial in trials if trial.params["regParam"] == 0.0]
    assert plain.params == {"regParam": 0.0, "elasticNetParam": 0.0}


def test_families_take_turns_until_one_runs_out() -> None:
    families = [trial.family for trial in plan_trials(SPACE, ("lr", "rf"), EVERYTHING, seed=7)]
    assert families == ["lr", "rf"] * 4 + ["lr"] * 3
    families = [trial.family for trial in plan_trials(SPACE, ("rf", "lr"), 3, seed=7)]
    assert families == ["rf", "lr", "rf"]


def test_the_seed_decides_the_plan() -> None:
    def plan(seed: int, budget: int) -> list[tuple[object, ...]]:
        return _keys(plan_trials(SPACE, ("lr", "rf"), budget, seed))

    assert plan(7, 6) == plan(7, 6)
    assert len({tuple(plan(seed, 6)) for seed in range(5)}) > 1
    assert plan(7, EVERYTHING)[:6] == plan(7, 6)


def test_a_familys_plan_is_its_own_whatever_else_is_tried() -> None:
    alone = plan_trials(SPACE, ("rf",), EVERYTHING, seed=7)
    beside = plan_trials(SPACE, ("lr", "rf"), EVERYTHING, seed=7)
    assert _keys(tuple(trial for trial in beside if trial.family == "rf")) == _keys(alone)


@pytest.mark.parametrize(
    ("rows", "partitions"), [(0, 1), (1, 1), (100, 1), (101, 2), (200, 2), (201, 3)]
)
def test_partitions_follow_the_rows(rows: int, partitions: int) -> None:
    assert partitions_for(rows, 100) == partitions
