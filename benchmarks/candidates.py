"""The 29 candidates of the search benchmark, for the recipe and as trials of ours."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

from core.training.trials import ParamValue, Trial, plan_trials

#: family -> Spark's parameter -> values to combine.
GRIDS: Mapping[str, Mapping[str, tuple[ParamValue, ...]]] = {
    "lr": {"regParam": (0.0, 0.01, 0.1), "elasticNetParam": (0.0, 0.5, 1.0)},
    "rf": {"numTrees": (100, 200), "maxDepth": (5, 8, 12), "maxBins": (32, 64)},
    "gbt": {"maxIter": (50, 100), "maxDepth": (3, 5), "stepSize": (0.05, 0.1)},
}


def recipe_candidates(family: str) -> tuple[Mapping[str, ParamValue], ...]:
    """What a grid builder makes of a family: every combination of the listed values."""
    names, values = zip(*GRIDS[family].items(), strict=True)
    return tuple(dict(zip(names, point, strict=True)) for point in itertools.product(*values))


def our_trials(seed: int) -> tuple[Trial, ...]:
    """The same candidates as the product plans them: those that are one model come once."""
    every = sum(len(recipe_candidates(family)) for family in GRIDS)
    return plan_trials(GRIDS, list(GRIDS), every, seed)
