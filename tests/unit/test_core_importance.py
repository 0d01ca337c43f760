from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import pytest

from core.adapters.optuna import explain_by_fanova
from core.training.importance import FAMILY, importances
from core.training.report import Candidate
from core.training.trials import ParamValue


def explain_evenly(
    settings: Sequence[Mapping[str, ParamValue]], values: Sequence[float]
) -> Mapping[str, float]:
    assert len(settings) == len(values)
    return {name: 0.1 * (1 + at) for at, name in enumerate(sorted(settings[0]))}


def candidate(
    index: int, family: str, auc: float, *, pruned: bool = False, **params: float
) -> Candidate:
    return Candidate(
        index=index,
        family=family,
        params=params,
        fold_auc=(auc,),
        mean_auc=auc,
        standard_error=None,
        seconds=1.0,
        pruned=pruned,
    )


def grid(family: str = "gbt") -> list[Candidate]:
    """AUC follows the depth; the step does nothing and the iterations are always the same."""
    points = itertools.product((3, 5, 7), (0.05, 0.1, 0.2))
    return [
        candidate(at, family, 0.8 + 0.01 * depth, maxDepth=depth, stepSize=step, maxIter=30)
        for at, (depth, step) in enumerate(points)
    ]


def test_each_family_has_its_parameters_the_largest_share_first() -> None:
    (found,) = importances(grid(), explain_evenly)
    assert (found.family, found.candidates) == ("gbt", 9)
    # What did not vary cannot have moved anything.
    assert [name for name, _ in found.shares] == ["stepSize", "maxDepth"]


def test_the_family_explains_what_lies_between_the_families_means() -> None:
    apart = [candidate(i, "lr", 0.8) for i in range(4)] + [
        candidate(4 + i, "rf", 0.9) for i in range(4)
    ]
    assert importances(apart, explain_evenly)[0].shares == ((FAMILY, pytest.approx(1.0)),)
    mixed = [candidate(i, "lr" if i % 2 else "rf", 0.8 + 0.01 * (i // 2)) for i in range(8)]
    assert importances(mixed, explain_evenly)[0].shares == ((FAMILY, pytest.approx(0.0)),)


def test_too_few_candidates_cannot_tell_and_say_so() -> None:
    found = importances([*grid()[:5], *grid("rf")[:2]], explain_evenly)
    assert [one.family for one in found] == [None, "gbt", "rf"]
    assert all(one.shares == () for one in found)
    assert found[1].reason == "Too few candidates to tell: 5 on every fold, and it takes 8."


def test_what_was_given_up_does_not_count() -> None:
    half = [one.model_copy(update={"pruned": one.index % 2 == 0}) for one in grid()]
    (found,) = importances(half, explain_evenly)
    assert found.candidates == 4
    assert "Too few" in found.reason
    gone = [one.model_copy(update={"pruned": True}) for one in grid()]
    assert importances(gone, explain_evenly)[0].candidates == 0


def test_an_auc_that_never_moves_has_nothing_to_explain() -> None:
    flat = [one.model_copy(update={"mean_auc": 0.8}) for one in grid()]
    assert importances(flat, explain_evenly)[0].reason == "All candidates have the same mean AUC."
    same = [candidate(at, "lr", 0.8 + at / 100, regParam=0.1) for at in range(9)]
    assert importances(same, explain_evenly)[0].reason == (
        "Every candidate has the same parameters."
    )


def test_fanova_finds_what_moved_the_auc_and_repeats_itself() -> None:
    (found,) = importances(grid(), explain_by_fanova)
    shares = dict(found.shares)
    assert shares["maxDepth"] > 0.8
    assert shares["stepSize"] < 0.1
    assert sum(shares.values()) <= 1.0 + 1e-9
    assert importances(grid(), explain_by_fanova) == (found,)


def test_fanova_takes_words_zeros_and_orders_of_magnitude() -> None:
    values = list(itertools.product((0.0, 0.001, 0.1, 1.0), ("auto", "sqrt", "all")))
    settings = [{"regParam": reg, "subset": subset} for reg, subset in values]
    shares = explain_by_fanova(settings, [0.9 if s == "all" else 0.8 for _, s in values])
    assert shares["subset"] > 0.9
    assert shares["regParam"] < 0.05
