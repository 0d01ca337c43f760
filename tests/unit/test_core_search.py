"""The plan of a search: which models, in which order, none twice, which in one fit."""

from __future__ import annotations

import pytest

from core.problems.titanic import PROBLEM as TITANIC
from core.training.space import Choice, Dimension, Range, dimension_of
from core.training.splits import partitions_for
from core.training.trials import ParamValue, Trial, grid_size, plan_trials, share_fits

SPACE = {
    "lr": {"regParam": (0.0, 0.01, 0.1), "elasticNetParam": (0.0, 0.5, 1.0)},
    "rf": {"numTrees": (10, 20), "maxDepth": (4, 6)},
}
#: Distinct models of SPACE: seven of ``lr``, four of ``rf``.
ALL = 7 + 4
EVERYTHING = 10_000


def _keys(trials: tuple[Trial, ...]) -> list[tuple[object, ...]]:
    return [trial.key for trial in trials]


def test_a_budget_that_covers_the_space_gives_all_of_it_in_order() -> None:
    trials = plan_trials(SPACE, ("rf", "lr"), EVERYTHING, seed=7)
    assert _keys(trials)[:4] == [
        ("rf", ("maxDepth", depth), ("numTrees", trees)) for depth in (4, 6) for trees in (10, 20)
    ]
    assert [trial.family for trial in trials] == ["rf"] * 4 + ["lr"] * 7
    assert _keys(plan_trials(SPACE, ("rf", "lr"), ALL, seed=8)) == _keys(trials)


def test_the_size_of_a_grid_counts_what_is_the_same_model_once() -> None:
    assert grid_size(SPACE, ("lr",)) == 7
    assert (
        grid_size(SPACE, ("lr", "rf"))
        == ALL
        == len(plan_trials(SPACE, ("lr", "rf"), EVERYTHING, seed=7))
    )
    assert grid_size(TITANIC.search_space, ("lr", "rf", "gbt")) == 30


def test_without_regularisation_its_kind_makes_no_other_model() -> None:
    trials = plan_trials(SPACE, ("lr",), EVERYTHING, seed=7)
    assert len(trials) == len(set(_keys(trials))) == 1 + 2 * 3
    (plain,) = [trial for trial in trials if trial.params["regParam"] == 0.0]
    assert plain.params == {"regParam": 0.0, "elasticNetParam": 0.0}


def test_families_take_turns_until_one_runs_out() -> None:
    families = [trial.family for trial in plan_trials(SPACE, ("lr", "rf"), ALL - 1, seed=7)]
    assert families == ["lr", "rf"] * 4 + ["lr"] * 2
    families = [trial.family for trial in plan_trials(SPACE, ("rf", "lr"), 3, seed=7)]
    assert families == ["rf", "lr", "rf"]


def test_the_seed_decides_the_plan() -> None:
    def plan(seed: int, budget: int) -> list[tuple[object, ...]]:
        return _keys(plan_trials(SPACE, ("lr", "rf"), budget, seed))

    assert plan(7, 6) == plan(7, 6)
    assert len({tuple(plan(seed, 6)) for seed in range(5)}) > 1
    assert plan(7, ALL - 1)[:6] == plan(7, 6)


def test_a_familys_plan_is_its_own_whatever_else_is_tried() -> None:
    alone = plan_trials(SPACE, ("rf",), 3, seed=7)
    beside = plan_trials(SPACE, ("lr", "rf"), 6, seed=7)
    assert _keys(tuple(trial for trial in beside if trial.family == "rf")) == _keys(alone)


def _plans_of_the_first_release() -> list[tuple[str, dict[str, ParamValue]]]:
    """What ``grid`` chose of Titanic's space with seed 7 before there were strategies."""
    return [
        ("lr", {"elasticNetParam": 0.0, "regParam": 0.1}),
        ("rf", {"maxDepth": 12, "minInstancesPerNode": 3, "numTrees": 100}),
        ("gbt", {"maxDepth": 5, "maxIter": 15, "stepSize": 0.1}),
        ("lr", {"elasticNetParam": 0.5, "regParam": 0.001}),
        ("rf", {"maxDepth": 8, "minInstancesPerNode": 1, "numTrees": 50}),
        ("gbt", {"maxDepth": 5, "maxIter": 15, "stepSize": 0.05}),
        ("lr", {"elasticNetParam": 0.5, "regParam": 0.1}),
        ("rf", {"maxDepth": 12, "minInstancesPerNode": 1, "numTrees": 50}),
        ("gbt", {"maxDepth": 3, "maxIter": 30, "stepSize": 0.1}),
        ("lr", {"elasticNetParam": 0.5, "regParam": 0.01}),
        ("rf", {"maxDepth": 5, "minInstancesPerNode": 3, "numTrees": 100}),
        ("gbt", {"maxDepth": 3, "maxIter": 15, "stepSize": 0.1}),
    ]


def test_a_sample_of_the_grid_is_the_one_it_always_was() -> None:
    trials = plan_trials(TITANIC.search_space, ("lr", "rf", "gbt"), 12, seed=7)
    assert [(t.family, dict(t.params)) for t in trials] == _plans_of_the_first_release()


def test_boosted_models_that_differ_in_iterations_share_a_fit() -> None:
    def gbt(**params: ParamValue) -> Trial:
        return Trial("gbt", params)

    trials = [
        gbt(maxIter=30, maxDepth=3),
        Trial("rf", {"numTrees": 50}),
        gbt(maxIter=15, maxDepth=5),
        gbt(maxIter=15, maxDepth=3),
        Trial("rf", {"numTrees": 100}),
    ]
    assert share_fits(trials) == ((0, 3), (1,), (2,), (4,))


@pytest.mark.parametrize(
    "reason",
    [{"subsamplingRate": 0.5}, {"featureSubsetStrategy": "sqrt"}, {"validationIndicatorCol": "v"}],
)
def test_no_fit_is_shared_where_a_shorter_model_need_not_be_a_prefix(
    reason: dict[str, ParamValue],
) -> None:
    trials = [Trial("gbt", {"maxIter": n, **reason}) for n in (15, 30)]
    assert share_fits(trials) == ((0,), (1,))
    assert share_fits([Trial("gbt", {"maxDepth": n}) for n in (3, 5)]) == ((0,), (1,))


@pytest.mark.parametrize(
    ("values", "dimension"),
    [
        ((5, 8, 12), Range(5, 12, integer=True)),
        ((3, 1), Range(1, 3, integer=True)),
        ((1, 100), Range(1, 100, integer=True, log=True)),
        ((0.05, 0.1), Range(0.05, 0.1, integer=False)),
        ((1, 0.5), Range(0.5, 1, integer=False)),
        ((0.0, 0.5, 1.0), Range(0.0, 1.0, integer=False)),
        ((0.001, 0.1), Range(0.001, 0.1, integer=False, log=True)),
        ((0.0, 0.001, 0.1), Range(0.001, 0.1, integer=False, log=True, or_zero=True)),
        ((-1.0, 100.0), Range(-1.0, 100.0, integer=False)),
        ((7,), Choice((7,))),
        (("gini", "entropy", "gini"), Choice(("gini", "entropy"))),
        (("auto", 3), Choice(("auto", 3))),
    ],
)
def test_listed_values_span_a_range(values: tuple[ParamValue, ...], dimension: Dimension) -> None:
    assert dimension_of(values) == dimension


def test_a_value_is_rounded_within_its_range() -> None:
    span = Range(0.012344, 0.2, integer=False)
    assert span.rounded(0.0543216) == 0.05432
    assert span.rounded(0.0123441) == 0.012344
    assert span.rounded(0.19999999) == 0.2


@pytest.mark.parametrize(
    ("rows", "partitions"), [(0, 1), (1, 1), (100, 1), (101, 2), (200, 2), (201, 3)]
)
def test_partitions_follow_the_rows(rows: int, partitions: int) -> None:
    assert partitions_for(rows, 100) == partitions
