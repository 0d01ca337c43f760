"""Which models a search tries: the plan of a grid, and which of them one fit can score."""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core.problems.contract import SearchSpace

ParamValue = float | int | str
ParamValues = Mapping[str, ParamValue]

ITERATIONS = "maxIter"
#: Parameters of a boosted ensemble under which a shorter one need not be a prefix: rows
#: and columns drawn at random, and a validation that ends the boosting early.
_NO_PREFIX = frozenset({"subsamplingRate", "featureSubsetStrategy", "validationIndicatorCol"})


@dataclass(frozen=True)
class Trial:
    """One point of the search space."""

    family: str
    params: ParamValues

    @property
    def key(self) -> tuple[object, ...]:
        """Equal for two trials exactly if they are the same point."""
        return (self.family, *sorted(self.params.items()))


def make_trial(family: str, params: ParamValues) -> Trial:
    """Returns a point, written the same way as every other that is the same model.

    ``elasticNetParam`` means nothing where ``regParam`` is 0.
    """
    if params.get("regParam") == 0:
        return Trial(family, {**params, "elasticNetParam": 0.0})
    return Trial(family, dict(params))


def plan_trials(
    space: SearchSpace, families: Sequence[str], budget: int, seed: int
) -> tuple[Trial, ...]:
    """Plans a grid search of at most ``budget`` distinct models.

    A budget that covers the whole space gives all of it in order, family after family.
    A smaller one gives a sample: each family's grid is shuffled with the seed, and the
    families take turns. Grid points that are the same model count once.
    """
    grids = {family: _grid(family, space[family]) for family in families}
    if sum(len(grid) for grid in grids.values()) <= budget:
        return tuple(itertools.chain.from_iterable(grids.values()))
    for family, grid in grids.items():
        random.Random(f"{seed}:{family}").shuffle(grid)  # noqa: S311 - a plan, not a secret
    turns = itertools.chain.from_iterable(itertools.zip_longest(*grids.values()))
    return tuple(itertools.islice((t for t in turns if t is not None), budget))


def grid_size(space: SearchSpace, families: Sequence[str]) -> int:
    """How many distinct models the whole grid of these families has."""
    return sum(len(_grid(family, space[family])) for family in families)


def _grid(family: str, values: Mapping[str, tuple[ParamValue, ...]]) -> list[Trial]:
    names = sorted(values)
    points = itertools.product(*(values[name] for name in names))
    trials = [make_trial(family, dict(zip(names, point, strict=True))) for point in points]
    return list({trial.key: trial for trial in trials}.values())


def share_fits(trials: Sequence[Trial]) -> tuple[tuple[int, ...], ...]:
    """Groups trials, by index, that one fit can score; most groups hold one trial.

    Boosting adds trees one after another and each depends on those before it alone, so
    trials that differ in ``maxIter`` only are prefixes of the longest among them.
    """
    groups: dict[tuple[object, ...], list[int]] = {}
    for index, trial in enumerate(trials):
        groups.setdefault(_fit_key(index, trial), []).append(index)
    return tuple(tuple(group) for group in groups.values())


def _fit_key(index: int, trial: Trial) -> tuple[object, ...]:
    names = trial.params.keys()
    if trial.family != "gbt" or ITERATIONS not in names or names & _NO_PREFIX:
        return (index,)
    rest = {name: value for name, value in trial.params.items() if name != ITERATIONS}
    return Trial(trial.family, rest).key
